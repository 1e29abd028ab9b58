/**
 * Time and peak memory of the first load and of every kind of run, on the stack of a running `npm start`:
 *   npm start -- --fresh --epsas 1000000 --section-rows 3
 *   npm run bench:scale -- [--dir FOLDER] [--planted N] [--only verify,repair,direct,restore]
 * `planted` differences (1,000) are spread over rows and documents before they are looked for. They are made in `sync` and
 * in FASTAAPS's database, never in SIIRAyS. Peaks are VmHWM of Linux (proc(5)), set back before each run.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { Endpoints } from '../embedded/stack/endpoints.ts';
import type { RunState } from '../src/reconciler/types.ts';

const { values: flags } = parseArgs({
  options: {
    dir: { type: 'string', default: '.dev' },
    planted: { type: 'string', default: '1000' },
    only: { type: 'string', default: 'verify,repair,direct,restore' },
  },
});
const dir = resolve(flags.dir);
const endpoints = JSON.parse(readFileSync(join(dir, 'endpoints.json'), 'utf8')) as Endpoints;
const planted = Number(flags.planted);
const MEASURED = ['producer', 'consumer', 'reconciler', 'fastaaps'];
const POLL_MS = 500;

interface ToldRun {
  id: string;
  state: RunState;
  ended: boolean;
  progress: { rows: number; documents: number };
  found: Record<string, number>;
  repaired: Record<string, number>;
  left: Record<string, number>;
  notes: string[];
  error: { message: string } | null;
}

const pool = (connectionString: string): pg.Pool => new pg.Pool({ connectionString, max: 1 });
const sync = pool(endpoints.sync);
const fastaaps = pool(endpoints.fastaapsDatabase);

await firstLoad();
for (const name of flags.only.split(',')) {
  if (name === 'verify') {
    await measured('verify', { mode: 'verify' });
  } else if (name === 'repair') {
    const what = await plant(planted);
    await measured(`verify with ${what}`, { mode: 'verify' });
    await measured(`repair of ${what}`, {});
    await measured('verify after it', { mode: 'verify' });
  } else if (name === 'direct') {
    await measured('direct verify', { mode: 'verify', direct: true });
    const what = await plantInFastaaps(planted, 0);
    await measured(`direct repair of ${what}`, { direct: true });
    await measured('direct verify after it', { mode: 'verify', direct: true });
  } else if (name === 'restore') {
    await measured('restore into backup', { mode: 'restore', target: 'backup' });
  } else throw new Error(`--only knows verify, repair, direct, restore, not ${name}`);
}
await Promise.all([sync.end(), fastaaps.end()]);

/** What the processes have come to since they were started. */
async function firstLoad(): Promise<void> {
  const { rows } = await sync.query<{ documents: string }>('SELECT count(*) AS documents FROM epsa_sync.document');
  console.log(`${rows[0]!.documents} documents; since the start of each process: ${peaks()}`);
}

async function measured(what: string, body: Record<string, unknown>): Promise<void> {
  resetPeaks();
  const { id } = await begun(body);
  const started = performance.now();
  let run = await call('GET', `/reconciliations/${id}`);
  while (!run.ended) {
    await sleep(POLL_MS);
    run = await call('GET', `/reconciliations/${id}`);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const { rows, documents } = run.progress;
  const counts = JSON.stringify({ found: run.found, repaired: run.repaired, left: run.left });
  console.log(`${what}: ${run.state} after ${seconds} s, ${rows} rows, ${documents} documents, ${counts}`);
  console.log(`  peak memory: ${peaks()}`);
  for (const note of run.notes) console.log(`  note: ${note}`);
  if (run.error) console.log(`  error: ${run.error.message}`);
}

/** Starts a run, after the one of the schedule that may be under way. */
async function begun(body: unknown): Promise<ToldRun> {
  for (;;) {
    const answer = await ask('POST', '/reconciliations', body);
    if (answer.ok) return (await answer.json()) as ToldRun;
    if (answer.status !== 409) throw new Error(`a run is refused: ${answer.status} ${await answer.text()}`);
    await sleep(POLL_MS);
    resetPeaks();
  }
}

async function call(method: string, path: string): Promise<ToldRun> {
  const answer = await ask(method, path);
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as ToldRun;
}

function ask(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${endpoints.reconciler}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(endpoints.reconcilerAuth).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
}

/** A quarter each: rows changed, rows gone, documents changed, documents gone. */
async function plant(count: number): Promise<string> {
  const quarter = Math.ceil(count / 4);
  const rows = [
    await sync.query(
      `UPDATE epsa.epsa SET fax = 'falso' WHERE id_epsa IN (${spread('epsa.epsa', 'id_epsa', quarter)})`,
    ),
    await sync.query(
      `DELETE FROM epsa.funcionarios WHERE id_funcionarios IN (${spread('epsa.funcionarios', 'id_funcionarios', quarter)})`,
    ),
  ].map(({ rowCount }) => rowCount ?? 0);
  return `${rows.join(' and ')} rows changed and gone, ${await plantInFastaaps(2 * quarter, 1)}`;
}

/** @param shift other documents for another shift */
async function plantInFastaaps(count: number, shift: number): Promise<string> {
  const half = Math.ceil(count / 2);
  const live = `collection = 'registro' AND db_tag = 'sync'`;
  const chosen = (offset: number): string =>
    `id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id_number) + ${offset} AS n, count(*) OVER () AS total
       FROM document WHERE ${live} AND document IS NOT NULL) AS d WHERE n % greatest(1, total / ${half}) = 0 LIMIT ${half})`;
  const changed = await fastaaps.query(
    `UPDATE document SET document = jsonb_set(document, '{informacion_general,nombre}', '"falso"') WHERE ${live} AND ${chosen(10 * shift + 3)}`,
  );
  const gone = await fastaaps.query(`DELETE FROM document WHERE ${live} AND ${chosen(10 * shift + 7)}`);
  return `${changed.rowCount} and ${gone.rowCount} documents changed and gone`;
}

/** SQL for so many values of a column, from everywhere in the table. */
function spread(table: string, column: string, count: number): string {
  return `SELECT ${column} FROM (SELECT ${column}, row_number() OVER (ORDER BY ${column}) AS n, count(*) OVER () AS total
    FROM ${table}) AS r WHERE n % greatest(1, total / ${count}) = 0 LIMIT ${count}`;
}

function processes(): [name: string, pid: number][] {
  const pids = JSON.parse(readFileSync(join(dir, 'processes.json'), 'utf8')) as Record<string, number>;
  return MEASURED.flatMap((name) => (pids[name] === undefined ? [] : [[name, pids[name]]]));
}

function peaks(): string {
  const peak = (pid: number): string => {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
    return `${(Number(kilobytes) / 1024).toFixed(0)} MB`;
  };
  return processes()
    .map(([name, pid]) => `${name} ${peak(pid)}`)
    .join(', ');
}

function resetPeaks(): void {
  for (const [, pid] of processes()) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
