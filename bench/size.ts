/**
 * What is large: each case on a stack of its own, with the proof that both sides are equal afterwards, and the peak memory of
 * every process of ours, which must stay under the limit:
 *   npm run bench:size -- [transaction] [snapshot] [row] [backlog] [--scale 0.01]
 * Exit 0 where every case passed, 1 where one did not, 64 for a case that is none.
 */
import { parseArgs } from 'node:util';
import { EXIT } from '../src/cli/exit-codes.ts';
import { backlog } from './size/backlog.ts';
import { killedSnapshot } from './size/killed-snapshot.ts';
import { largeRow } from './size/large-row.ts';
import { largeTransaction } from './size/large-transaction.ts';
import { measured, type SizeCase } from './size/size-rig.ts';

/** Resident bytes that no process may need. */
const LIMIT = 400 * 1024 * 1024;

const CASES: Record<string, (scale: number) => SizeCase> = {
  transaction: (scale) => largeTransaction(Math.round(2_000_000 * scale)),
  snapshot: (scale) => killedSnapshot(Math.round(5_000_000 * scale)),
  row: () => largeRow(8 * 1024 * 1024),
  backlog: (scale) => backlog(Math.round(180_000 * scale)),
};

const { values, positionals } = parseArgs({
  options: { scale: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const scale = Number(values.scale);
const names = positionals.length > 0 ? positionals : Object.keys(CASES);
const unknown = names.filter((name) => !Object.hasOwn(CASES, name));
if (unknown.length > 0 || !(scale > 0)) {
  console.error(`usage: npm run bench:size -- [${Object.keys(CASES).join('] [')}] [--scale NUMBER above 0]`);
  process.exit(EXIT.usage);
}
let passed = true;
for (const name of names) {
  const { what, seconds, peaks } = await measured(CASES[name]!(scale));
  const memory = [...peaks].map(([process, bytes]) => `${process} ${(bytes / 1024 / 1024).toFixed(0)} MB`).join(', ');
  const small = [...peaks.values()].every((bytes) => bytes < LIMIT);
  passed &&= small;
  console.log(`${name.padEnd(12)} ${what}; ${seconds.toFixed(0)} s; ${memory}${small ? '' : ': OVER THE LIMIT'}`);
}
process.exit(passed ? 0 : 1);
