import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import type { PositionWatch } from './position-watch.ts';

/** A transaction of a history: what has applied or delivered it stands at or behind it. */
export interface Point {
  history: number;
  seq: bigint;
}

/** How far one connector's replica and FASTAAPS are, from one snapshot of `sync`. */
export interface Standing {
  /** The last unit applied to the replica; null before the first load. */
  applied: (Point & { lsn: Lsn }) | null;
  /** The newest commit that FASTAAPS acknowledged; null before the first changeset. */
  delivered: (Point & { lsn: Lsn }) | null;
  /** Why the replica stands still, if it does. */
  frozen: string | null;
}

/** How often the standing is looked at while somebody waits. */
const LOOK_MS = 50;

interface Row {
  history: number | null;
  seq: string | null;
  lsn: string | null;
  delivered_history: number | null;
  delivered_seq: string | null;
  delivered_lsn: string | null;
  request_reason: string | null;
  requested: boolean;
  staging: boolean;
}

/** Reads where a connector stands. @param schema its bookkeeping schema, e.g. epsa_sync */
export async function readStanding(client: pg.ClientBase | pg.Pool, schema: string): Promise<Standing> {
  const s = quoteIdentifier(schema);
  const { rows } = await client.query<Row>(
    `SELECT c.history, c.seq::text, c.lsn::text, d.history AS delivered_history, d.seq::text AS delivered_seq,
       d.lsn::text AS delivered_lsn, c.request_reason, c.request_id IS NOT NULL AS requested,
       c.staging_id IS NOT NULL AS staging
     FROM ${s}.checkpoint AS c CROSS JOIN ${s}.delivery AS d`,
  );
  const row = rows[0]!;
  return {
    applied: pointOf(row.history, row.seq, row.lsn),
    delivered: pointOf(row.delivered_history, row.delivered_seq, row.delivered_lsn),
    frozen: frozenReason(row),
  };
}

function pointOf(history: number | null, seq: string | null, lsn: string | null): (Point & { lsn: Lsn }) | null {
  return history === null || seq === null || lsn === null ? null : { history, seq: BigInt(seq), lsn: parseLsn(lsn) };
}

function frozenReason({ requested, request_reason, staging, history }: Row): string | null {
  if (requested) return `a full snapshot is awaited: ${request_reason ?? 'no reason is given'}`;
  if (staging) return 'a full snapshot is being read';
  return history === null ? 'there is no replica yet' : null;
}

/** Whether `at` is in the same history, at `point` or behind it. */
export function isPast(at: Point | null, point: Point): boolean {
  return at !== null && at.history === point.history && at.seq >= point.seq;
}

export interface WaitOptions {
  pool: pg.Pool;
  schema: string;
  patienceMs: number;
  signal: AbortSignal;
}

/** Waits until `holds` of the standing; gives the standing, or null where patience ends first. */
export async function untilStanding(
  { pool, schema, patienceMs, signal }: WaitOptions,
  holds: (standing: Standing) => boolean,
): Promise<Standing | null> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    const standing = await readStanding(pool, schema);
    if (holds(standing)) return standing;
    if (performance.now() > deadline) return null;
    await sleep(LOOK_MS, undefined, { signal });
  }
}

/**
 * Waits until the replica (or, with `delivered`, FASTAAPS) shows every commit of SIIRAyS below `lsn`; false where patience
 * ends first. A later transaction of the history tells it, or the producer's position: it passes an LSN also where no
 * transaction of ours does.
 */
export async function untilPassed(
  options: WaitOptions,
  lsn: Lsn,
  watch: PositionWatch,
  what: 'applied' | 'delivered',
): Promise<boolean> {
  watch.start();
  let point: Point | null = null;
  const standing = await untilStanding(options, (now) => {
    point ??= watch.reached(lsn);
    const at = now[what];
    if (now.frozen !== null || at === null) return false;
    if (point) return isPast(at, point);
    const newest = watch.newest;
    return newest !== null && newest.history === at.history && at.lsn >= lsn;
  });
  return standing !== null;
}
