/**
 * Prints one SQL transaction that empties SIIRAyS and loads completely different content, about 134,000 rows, for psql:
 * node embedded/siirays/other-content.ts [--epsas 2975] [--seed 2] [--first-id 3101] > other-content.sql
 * Some ids are those of the sample's EPSAs, so that documents change, come and go all at once.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { wholeNumber } from '../../src/config/units.ts';
import { quoteIdentifier, quoteLiteral } from '../../src/postgres/identifier.ts';
import { batches } from './sample.ts';
import { CATALOGUES } from './sample-catalogues.ts';
import { type SampleOptions, sampleRows } from './sample-rows.ts';
import { EPSA, SECTIONS } from './sample-sections.ts';
import type { TableModel } from './sample-table.ts';
import type { Cell } from './sample-values.ts';

/**
 * Half the sample's ids come again with other content, half go, and as many are new. None is a dead letter: one of those
 * would leave its old document standing, and a reader could not tell that from a mixture.
 */
export const OTHER_CONTENT: Required<Omit<SampleOptions, 'sectionRows'>> = {
  epsas: 2975,
  seed: 2,
  firstId: 3101,
  broken: false,
};

const BATCH_ROWS = 500;

/** The statements of the transaction, one after the other. */
export function* otherContent(options: SampleOptions = OTHER_CONTENT): Generator<string> {
  const tables = [...CATALOGUES, EPSA, ...SECTIONS].map((table) => quoteIdentifier(table.name));
  yield `SET client_encoding = 'UTF8';\n`;
  yield 'BEGIN;\n';
  yield `TRUNCATE ${tables.join(', ')};\n`;
  for (const { table, rows } of batches(sampleRows(options), BATCH_ROWS)) yield insertStatement(table, rows);
  yield 'COMMIT;\n';
}

function insertStatement(table: TableModel, rows: Cell[][]): string {
  const columns = Object.keys(table.columns).map(quoteIdentifier).join(', ');
  const values = rows.map((cells) => `(${cells.map(literal).join(', ')})`);
  return `INSERT INTO ${quoteIdentifier(table.name)} (${columns}) VALUES\n${values.join(',\n')};\n`;
}

function literal(cell: Cell): string {
  return cell === null ? 'NULL' : quoteLiteral(cell).trimStart();
}

/** The command line. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { epsas: { type: 'string' }, seed: { type: 'string' }, 'first-id': { type: 'string' } },
  });
  const number = (text: string | undefined, otherwise: number): number =>
    text === undefined ? otherwise : wholeNumber(1, 50_000_000).parse(text);
  const options = {
    epsas: number(values.epsas, OTHER_CONTENT.epsas),
    seed: number(values.seed, OTHER_CONTENT.seed),
    firstId: number(values['first-id'], OTHER_CONTENT.firstId),
    broken: OTHER_CONTENT.broken,
  };
  // A reader that has seen enough, such as head, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  for (const statement of otherContent(options)) {
    if (!process.stdout.write(statement)) await once(process.stdout, 'drain');
  }
}

if (import.meta.main) await main();
