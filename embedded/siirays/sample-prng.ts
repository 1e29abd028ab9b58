/** A seeded source of randomness: the same seed gives the same sequence on every machine and Node version. */
export interface Prng {
  /** From 0 to 1, 1 excluded. */
  next(): number;
  /** A whole number from 0 to `limit` - 1. */
  int(limit: number): number;
  /** A whole number, both bounds included. */
  between(least: number, most: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** sfc32 (Chris Doty-Humphrey, PractRand), its state mixed from the seeds; several seeds make independent streams. */
export function createPrng(...seeds: number[]): Prng {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
  const step = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (const seed of seeds) {
    a = (a ^ seed) | 0;
    b = (b ^ Math.floor(seed / 2 ** 32)) | 0;
    for (let round = 0; round < 15; round++) step();
  }
  const next = () => step() / 2 ** 32;
  const int = (limit: number) => Math.floor(next() * limit);
  return {
    next,
    int,
    between: (least, most) => least + int(most - least + 1),
    chance: (probability) => next() < probability,
    pick: (list) => list[int(list.length)]!,
  };
}
