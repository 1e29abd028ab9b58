import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** A password as it is kept: scrypt (RFC 7914) with its parameters. */
export interface PasswordHash {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export type PasswordCost = Pick<PasswordHash, 'N' | 'r' | 'p'>;

/** 32 MiB and about a tenth of a second (OWASP Password Storage Cheat Sheet). */
const COST: PasswordCost = { N: 1 << 15, r: 8, p: 3 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const MOST_MEMORY = 256 * 1024 * 1024;

/** Hashes a password for the configuration: `scrypt:N:r:p:salt:hash`, the last two in base64. */
export async function hashPassword(password: string, cost: PasswordCost = COST): Promise<string> {
  const { N, r, p, salt, hash } = await derive(password, cost);
  return `scrypt:${N}:${r}:${p}:${salt.toString('base64')}:${hash.toString('base64')}`;
}

/** Hashes a password with a new salt. */
export async function derive(password: string, cost: PasswordCost = COST): Promise<PasswordHash> {
  const salt = randomBytes(SALT_BYTES);
  return { ...cost, salt, hash: await run(password, { ...cost, salt }, HASH_BYTES) };
}

/**
 * Reads `scrypt:N:r:p:salt:hash`; null where the text does not begin with `scrypt:` and so is a plain password.
 * @throws where it begins so and cannot be read, without repeating it
 */
export function parsePasswordHash(text: string): PasswordHash | null {
  if (!text.startsWith('scrypt:')) return null;
  const match = /^scrypt:(\d{1,8}):(\d{1,4}):(\d{1,4}):([A-Za-z0-9+/]+={0,2}):([A-Za-z0-9+/]+={0,2})$/.exec(text);
  const [N, r, p] = [Number(match?.[1]), Number(match?.[2]), Number(match?.[3])];
  const [salt, hash] = [Buffer.from(match?.[4] ?? '', 'base64'), Buffer.from(match?.[5] ?? '', 'base64')];
  const powerOfTwo = N > 1 && Number.isInteger(Math.log2(N));
  const possible = powerOfTwo && r > 0 && p > 0 && p <= 64 && 128 * N * r <= MOST_MEMORY;
  if (!possible || salt.length < 8 || hash.length < 16 || hash.length > 128) {
    throw new Error('a password that begins with scrypt: must be scrypt:N:r:p:salt:hash, as hashPassword makes it');
  }
  return { N, r, p, salt, hash };
}

/** Whether a password is the one that was hashed; in a time that does not depend on either. */
export async function matches(password: string, expected: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await run(password, expected, expected.hash.length), expected.hash);
}

function run(password: string, { N, r, p, salt }: Omit<PasswordHash, 'hash'>, bytes: number): Promise<Buffer> {
  const options: ScryptOptions = { N, r, p, maxmem: 2 * MOST_MEMORY };
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, bytes, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
