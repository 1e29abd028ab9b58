import { createPrng, type Prng } from '../embedded/siirays/sample-prng.ts';

/** Parts that may be killed, stopped and ended. */
export const PARTS = [
  ...(['producer', 'consumer', 'reconciler', 'kafka', 'registry'] as const),
  ...(['siirays', 'postgres', 'pgbouncer', 'fastaaps'] as const),
];
export type StormPart = (typeof PARTS)[number];

/** Connections between the parts, each through a proxy, by the part that is connected to. */
export const LINKS = ['siirays', 'pgbouncer', 'postgres', 'kafka', 'registry', 'fastaaps'] as const;
export type LinkName = (typeof LINKS)[number];

export const ANSWERS = ['500', '429', '422', 'lost', 'half', 'silence'] as const;
export type FastaapsAnswer = (typeof ANSWERS)[number];

export type Fault =
  | { family: 'kill'; part: StormPart }
  /** Killed, and again so many milliseconds after its new process was started. */
  | { family: 'kill-starting' | 'kill-recovering'; part: StormPart; afterMs: number }
  | { family: 'term'; part: StormPart }
  /** SIGSTOP, and SIGCONT after so many milliseconds. */
  | { family: 'stop'; part: StormPart; forMs: number }
  | { family: 'cut'; link: LinkName }
  | { family: 'hole'; link: LinkName; forMs: number }
  | { family: 'slow'; link: LinkName; forMs: number; delayMs: number }
  | { family: 'cut-after'; link: LinkName; bytes: number }
  /** An EndTxn request is held, its client cut off, and let through in the middle of the next transaction. */
  | { family: 'end-txn' }
  | { family: 'second' | 'second-beside-zombie'; part: 'producer' | 'consumer'; forMs: number }
  | { family: 'fastaaps'; answer: FastaapsAnswer; times: number }
  | { family: 'registry-emptied' }
  | { family: 'clock'; direction: 'forward' | 'back'; seconds: number };

export interface Step {
  /** From 1 on. */
  step: number;
  fault: Fault;
  kind: string;
  /** Waits so long after the one before has healed. */
  gapMs: number;
  /** The next one does not wait for this one's healing. */
  overlaps: boolean;
}

export interface PlanOptions {
  minutes: number;
  seed: number;
  /** Kinds of fault that cannot be had on this machine. */
  without?: readonly string[];
}

type Family = Fault['family'];

/** Kinds a minute that must have happened; all of them from 14 minutes on. */
const KINDS_A_MINUTE = 6;
/** Below this, stops and holes last just longer than the shortest time-out that they meet. */
const LONG_MINUTES = 5;

/** How long a part stands still, in milliseconds: longer than the time-outs that the others have for it, in storm.ts. */
const STOPS: Record<StormPart, { short: number; long: number }> = {
  producer: { short: 3_000, long: 17_000 }, // wal_sender_timeout; Kafka's transaction timeout
  consumer: { short: 4_000, long: 12_000 }, // the lease; the broker's session of a group member
  reconciler: { short: 2_000, long: 12_000 },
  kafka: { short: 3_500, long: 24_000 }, // the broker's own session; the client's request time-out
  registry: { short: 3_000, long: 12_000 },
  siirays: { short: 3_000, long: 12_000 },
  postgres: { short: 4_000, long: 12_000 }, // the lease; the session's answers
  pgbouncer: { short: 3_000, long: 12_000 },
  fastaaps: { short: 4_000, long: 12_000 }, // FASTAAPS_TIMEOUT
};

const TARGETS: Record<Family, readonly string[]> = {
  kill: PARTS,
  'kill-starting': PARTS,
  'kill-recovering': PARTS,
  term: PARTS,
  stop: PARTS,
  cut: LINKS,
  hole: LINKS,
  slow: LINKS,
  'cut-after': LINKS,
  'end-txn': [''],
  second: ['producer', 'consumer'],
  'second-beside-zombie': ['producer', 'consumer'],
  fastaaps: ANSWERS,
  'registry-emptied': [''],
  clock: ['forward', 'back'],
};

/** Every kind of fault, family by family: `kill kafka`, `hole siirays`, `fastaaps 429`. */
export const KINDS: readonly string[] = Object.entries(TARGETS).flatMap(([family, targets]) =>
  targets.map((target) => `${family} ${target}`.trim()),
);

/** The kinds that a storm of this length and seed must have: of each family in turn. */
export function requiredKinds({ minutes, seed, without = [] }: PlanOptions): string[] {
  const prng = createPrng(seed, 1);
  const families = shuffled(prng, Object.keys(TARGETS) as Family[]).map((family) =>
    shuffled(
      prng,
      KINDS.filter((kind) => kind.split(' ')[0] === family && !without.includes(kind)),
    ),
  );
  const turns = Math.max(...families.map((kinds) => kinds.length));
  const order = Array.from({ length: turns }, (_, turn) => families.flatMap((kinds) => kinds[turn] ?? [])).flat();
  return order.slice(0, Math.ceil(minutes * KINDS_A_MINUTE));
}

/** The steps, without an end: first those that are required, then any. The same options give the same steps. */
export function* stepsOf(options: PlanOptions): Generator<Step> {
  const required = requiredKinds(options);
  const possible = KINDS.filter((kind) => !options.without?.includes(kind));
  for (let step = 1; ; step++) {
    const prng = createPrng(options.seed, 2, step);
    const kind = required[step - 1] ?? prng.pick(possible);
    const fault = faultOf(kind, prng, options.minutes < LONG_MINUTES);
    yield { step, kind, fault, gapMs: prng.between(100, 1_500), overlaps: prng.chance(0.2) };
  }
}

function faultOf(kind: string, prng: Prng, short: boolean): Fault {
  const [family, target] = kind.split(' ') as [Family, string];
  const part = target as StormPart;
  const link = target as LinkName;
  switch (family) {
    case 'kill':
    case 'term':
      return { family, part };
    case 'kill-starting':
      return { family, part, afterMs: prng.int(10) };
    case 'kill-recovering':
      return { family, part, afterMs: prng.between(200, 2_500) };
    case 'stop':
      return { family, part, forMs: STOPS[part][short ? 'short' : 'long'] + prng.int(1_000) };
    case 'cut':
      return { family, link };
    case 'hole':
      return { family, link, forMs: prng.between(short ? 2_000 : 4_000, short ? 5_000 : 22_000) };
    case 'slow':
      return { family, link, forMs: prng.between(1_500, 5_000), delayMs: prng.between(20, 300) };
    case 'cut-after':
      return { family, link, bytes: prng.between(1, 20_000) };
    case 'end-txn':
    case 'registry-emptied':
      return { family };
    case 'second':
    case 'second-beside-zombie':
      return { family, part: part as 'producer' | 'consumer', forMs: prng.between(5_000, 9_000) };
    case 'fastaaps':
      return { family, answer: target as FastaapsAnswer, times: prng.between(1, 3) };
    case 'clock':
      return { family, direction: target as 'forward' | 'back', seconds: prng.between(30, 7_200) };
  }
}

function shuffled<T>(prng: Prng, list: readonly T[]): T[] {
  const rest = [...list];
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(prng.int(rest.length), 1));
  return result;
}
