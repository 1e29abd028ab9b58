import { isIPv6 } from 'node:net';

export interface LoginGuardOptions {
  /** So many failures within `windowMs` close the door. */
  failures: number;
  windowMs: number;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
}

/** Addresses, names and pairs remembered; the longest untouched go first. */
const MOST_KEYS = 20_000;
/** More than are ever looked at, at once, so that taking one back leaves enough. */
const MOST_TIMES = 100;
const TRUST_MS = 24 * 3_600_000;

export type Verdict =
  /** Look at the password; a wrong one is told as such. */
  | { kind: 'try' }
  /** Look at the password; unless it is right, answer as if nobody had looked. */
  | { kind: 'quietly'; retryAfterS: number }
  | { kind: 'refused'; retryAfterS: number };

/**
 * Slows down the guessing of passwords. Failures are counted by address, by name and by the pair of both.
 *
 * Many people may share an address (a proxy, NAT), so an address that fails too often closes only what is not known from
 * it: a name that was right from there within a day is judged by its own pair, and any other name has one quiet try per
 * window, so that the right password for another name gets in at once. A name that fails too often is closed from everywhere but
 * where it was right before, so that nobody can lock a colleague out from elsewhere.
 */
export class LoginGuard {
  readonly #options: LoginGuardOptions;
  /** Times of the failures of each key, oldest first. */
  readonly #failures = new Map<string, number[]>();
  /** When a pair was last right. */
  readonly #trusted = new Map<string, number>();

  constructor(options: LoginGuardOptions) {
    this.#options = options;
  }

  judge(address: string, name: string): Verdict {
    const { byAddress, byName, byPair } = keysOf(address, name);
    const trustedAt = this.#trusted.get(byPair);
    if (trustedAt !== undefined && this.#options.now() - trustedAt < TRUST_MS) {
      const closedMs = this.#closedMs(byPair);
      return closedMs > 0 ? refused(closedMs) : { kind: 'try' };
    }
    const nameClosedMs = this.#closedMs(byName);
    if (nameClosedMs > 0) return refused(nameClosedMs);
    const addressClosedMs = this.#closedMs(byAddress);
    if (addressClosedMs === 0) return { kind: 'try' };
    if (this.#recent(byPair).length > 0) return refused(addressClosedMs);
    return { ...refused(addressClosedMs), kind: 'quietly' };
  }

  /** A password is about to be looked at: counts as a failure until `untried` says otherwise, so that many at once are counted. */
  tried(address: string, name: string): void {
    const at = this.#options.now();
    for (const key of Object.values(keysOf(address, name))) {
      const times = [...this.#recent(key), at].slice(-MOST_TIMES);
      remember(this.#failures, key, times);
    }
  }

  /** A password was right: its name is known from this address now. */
  right(address: string, name: string): void {
    remember(this.#trusted, keysOf(address, name).byPair, this.#options.now());
  }

  /** What `tried` announced was no failure. */
  untried(address: string, name: string): void {
    for (const key of Object.values(keysOf(address, name))) {
      const times = this.#recent(key).slice(0, -1);
      if (times.length > 0) this.#failures.set(key, times);
      else this.#failures.delete(key);
    }
  }

  #recent(key: string): number[] {
    const since = this.#options.now() - this.#options.windowMs;
    return (this.#failures.get(key) ?? []).filter((time) => time > since);
  }

  /** For how long a key is closed still; 0: it is open. */
  #closedMs(key: string): number {
    const decisive = this.#recent(key).at(-this.#options.failures);
    return decisive === undefined ? 0 : decisive + this.#options.windowMs - this.#options.now();
  }
}

function refused(closedMs: number): { kind: 'refused'; retryAfterS: number } {
  return { kind: 'refused', retryAfterS: Math.max(1, Math.ceil(closedMs / 1000)) };
}

function keysOf(address: string, name: string): { byAddress: string; byName: string; byPair: string } {
  const network = networkOf(address);
  const short = name.slice(0, 200);
  return { byAddress: `a ${network}`, byName: `n ${short}`, byPair: `p ${network} ${short}` };
}

/** Of an IPv6 address the first 64 bits, which one subscriber has all the addresses of (RFC 6177). */
function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail = ''] = address.split('%')[0]!.toLowerCase().split('::');
  const [first, last] = [head.split(':').filter(Boolean), tail.split(':').filter(Boolean)];
  const zeros = new Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
}

/** Sets a key as the newest of its map, which is kept small. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_KEYS) map.delete(map.keys().next().value!);
}
