/**
 * Judges the history that a storm's readers wrote: node storm/checker.ts FILE
 * Exit code 0 where every state that was seen is SIIRAyS's as of the commit that it names, 1 where one is not.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Judge, type Verdict } from './history/judge.ts';
import type { HistoryRecord } from './history/records.ts';

/** Reads a history file (NDJSON). @throws where a line is no JSON */
export async function check(file: string): Promise<Verdict> {
  const judge = new Judge();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    judge.take(JSON.parse(line) as HistoryRecord);
  }
  return judge.verdict();
}

async function main([file]: string[]): Promise<number> {
  if (file === undefined) {
    console.error('node storm/checker.ts FILE: FILE is the history.ndjson of a storm');
    return 64;
  }
  const { commits, comparisons, differences } = await check(file);
  for (const difference of differences.slice(0, 50)) console.log(difference);
  console.log(`${commits} transactions, ${comparisons} comparisons, ${differences.length} differences`);
  return differences.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
