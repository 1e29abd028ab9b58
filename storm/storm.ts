/**
 * A storm over the whole pipeline: npm run storm -- --minutes M --seed S [--dir FOLDER] [--epsas N] [--rate N]
 * The same seed gives the same faults in the same order.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { wholeNumber } from '../src/config/units.ts';
import { runStorm } from './run.ts';

const EXIT = { ok: 0, failed: 1, usage: 64, interrupted: 130 };
const TOLD = 30;

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      dir: { type: 'string' },
      epsas: { type: 'string', default: '60' },
      rate: { type: 'string', default: '20' },
    },
  });
  const seed = wholeNumber(0, 2 ** 31).parse(values.seed);
  const minutes = Number(values.minutes);
  if (!(minutes > 0 && minutes <= 24 * 60)) {
    console.error(`--minutes must be a number above 0: ${values.minutes}`);
    return EXIT.usage;
  }
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());
  const running = runStorm({
    ...{ minutes, seed, dir: values.dir ?? join('.dev', 'storms', `seed-${seed}`), signal: ending.signal },
    ...{ epsas: wholeNumber(5, 10_000).parse(values.epsas), rate: wholeNumber(1, 10_000).parse(values.rate) },
    print: (line) => console.log(line),
  });
  const result = await running.catch((error: Error) => {
    if (!ending.signal.aborted) throw error;
  });
  if (!result) {
    console.log('ended before its time');
    return EXIT.interrupted;
  }
  for (const difference of result.differences.slice(0, TOLD)) console.log(`difference: ${difference}`);
  for (const shortfall of result.shortfalls) console.log(`too little: ${shortfall}`);
  const { transactions, faults, comparisons, differences, shortfalls } = result;
  console.log(
    `storm seed ${seed}: ${transactions} transactions, ${faults} faults, ${comparisons} comparisons, ${differences.length} differences`,
  );
  return differences.length + shortfalls.length === 0 ? EXIT.ok : EXIT.failed;
}

process.exit(await main(process.argv.slice(2)));
