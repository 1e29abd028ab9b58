import { createHmac, randomBytes } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from '../../logging/logger.ts';
import { LoginGuard } from './login-guard.ts';
import { derive, matches, type PasswordHash, parsePasswordHash } from './password.ts';
import { Problem } from './problem.ts';
import { TurnGate } from './turn-gate.ts';

/** viewer: reads; operator: everything. */
export type Role = 'viewer' | 'operator';

export interface ApiUser {
  name: string;
  role: Role;
  /** Plain text, or `scrypt:N:r:p:salt:hash` as hashPassword makes it. */
  password: string;
}

/** Who asks. */
export interface Caller {
  name: string;
  role: Role;
}

const FAILURES = 5;
const WINDOW_MS = 60_000;
/** scrypt takes memory and a thread each: so many at once, and so many waiting. */
const AT_ONCE = 2;
const WAITING = 64;

interface KnownUser extends Caller {
  password: PasswordHash;
}

export interface AuthenticationOptions {
  users: readonly ApiUser[];
  log: Logger;
  /** Milliseconds of a clock that never goes back; for tests. */
  now?: () => number;
}

/**
 * HTTP Basic (RFC 7617): lets a request through with its caller in `response.locals.caller`, else answers 401, or 429 after too
 * many failures. Unknown names cost as much time as known ones.
 * @throws where users are configured wrongly
 */
export function requireCaller(options: AuthenticationOptions): RequestHandler {
  const authenticator = new Authenticator(options);
  return async (request, response, next) => {
    response.locals.caller = await authenticator.callerOf(request);
    next();
  };
}

/** The caller that `requireCaller` found. */
export function callerOf(response: Response): Caller {
  return response.locals.caller as Caller;
}

/** Lets an operator through; a viewer only where nothing is changed. */
export const requireRole: RequestHandler = (request, response, next) => {
  const reads = request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS';
  if (!reads && callerOf(response).role !== 'operator') {
    throw new Problem(403, 'this needs the role operator', { kind: 'role' });
  }
  next();
};

class Authenticator {
  readonly #guard: LoginGuard;
  readonly #log: Logger;
  readonly #gate = new TurnGate(AT_ONCE, WAITING);
  readonly #users: Promise<ReadonlyMap<string, KnownUser>>;
  /** Names and passwords that were right, as hashes with a key that dies with the process: scrypt is paid once. */
  readonly #known = new Map<string, Caller>();
  readonly #hashKey = randomBytes(32);
  /** Looked at right now: the same ones at once (a browser's parallel requests) are one attempt. */
  readonly #underWay = new Map<string, Promise<Caller | null>>();

  constructor({ users, log, now = () => performance.now() }: AuthenticationOptions) {
    this.#guard = new LoginGuard({ failures: FAILURES, windowMs: WINDOW_MS, now });
    this.#log = log;
    checkUsers(users);
    this.#users = hashUsers(users);
    // Whoever authenticates first hears of a failure.
    this.#users.catch(() => undefined);
  }

  async callerOf(request: Request): Promise<Caller> {
    const given = credentialsOf(request.headers.authorization);
    if (given === null) throw unauthorized();
    const address = request.ip ?? request.socket.remoteAddress ?? '';
    const verdict = this.#guard.judge(address, given.name);
    if (verdict.kind === 'refused') throw this.#tooMany(address, verdict.retryAfterS);
    const caller = await this.#verify(address, given.name, given.password);
    if (caller !== null) return caller;
    if (verdict.kind === 'quietly') throw this.#tooMany(address, verdict.retryAfterS);
    this.#log.warn({ event: 'api_login_failed', address }, 'a user name or password was wrong');
    throw unauthorized();
  }

  async #verify(address: string, name: string, password: string): Promise<Caller | null> {
    const key = createHmac('sha256', this.#hashKey)
      .update(JSON.stringify([name, password]))
      .digest('base64');
    const known = this.#known.get(key);
    if (known) {
      this.#guard.right(address, name);
      return known;
    }
    const attempt = `${address} ${key}`;
    const underWay = this.#underWay.get(attempt);
    if (underWay) return underWay;
    this.#guard.tried(address, name);
    const looking = this.#attempt(address, name, password, key).finally(() => this.#underWay.delete(attempt));
    this.#underWay.set(attempt, looking);
    return looking;
  }

  async #attempt(address: string, name: string, password: string, key: string): Promise<Caller | null> {
    let failed = false;
    try {
      const caller = await this.#look(name, password);
      failed = caller === null;
      if (caller !== null) {
        this.#known.set(key, caller);
        this.#guard.right(address, name);
      }
      return caller;
    } finally {
      if (!failed) this.#guard.untried(address, name);
    }
  }

  async #look(name: string, password: string): Promise<Caller | null> {
    const users = await this.#users;
    const user = users.get(name);
    // For an unknown name somebody's hash is computed all the same, in vain; always the same one's, as for a known name.
    const hash = user?.password ?? this.#somebody(name, [...users.values()])?.password;
    if (hash === undefined) return null;
    const right = await this.#gate.run(() => matches(password, hash));
    return right && user ? { name: user.name, role: user.role } : null;
  }

  #somebody(name: string, users: readonly KnownUser[]): KnownUser | undefined {
    const place = createHmac('sha256', this.#hashKey).update(name).digest().readUInt32BE();
    return users[place % users.length];
  }

  #tooMany(address: string, retryAfterS: number): Problem {
    this.#log.warn({ event: 'api_login_closed', address, retryAfterS }, 'too many wrong passwords');
    return new Problem(429, `too many wrong passwords: try again in ${retryAfterS} s`, {
      kind: 'too-many-failures',
      headers: { 'Retry-After': String(retryAfterS) },
    });
  }
}

function unauthorized(): Problem {
  return new Problem(401, 'user name and password are missing or wrong', {
    headers: { 'WWW-Authenticate': 'Basic realm="siirays-sync", charset="UTF-8"' },
  });
}

function credentialsOf(header: string | undefined): { name: string; password: string } | null {
  const encoded = /^Basic +([A-Za-z0-9+/_-]+={0,2})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? null : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function checkUsers(users: readonly ApiUser[]): void {
  const names = new Set<string>();
  for (const { name, password } of users) {
    if (!/^[^:\p{Cc}]{1,100}$/u.test(name)) throw new Error('a user name has 1 to 100 characters and no colon');
    if (names.has(name)) throw new Error(`the user ${name} is configured twice`);
    if (password === '') throw new Error(`the user ${name} has no password`);
    parsePasswordHash(password);
    names.add(name);
  }
}

async function hashUsers(users: readonly ApiUser[]): Promise<ReadonlyMap<string, KnownUser>> {
  const hashed = new Map<string, KnownUser>();
  for (const { name, role, password } of users) {
    hashed.set(name, { name, role, password: parsePasswordHash(password) ?? (await derive(password)) });
  }
  return hashed;
}
