import type pg from 'pg';
import { connectorSchemas } from '../../consumer/replica-names.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import { Polled } from './polled.ts';
import type { Shown } from './services.ts';

const LOOK_MS = 50;

/** Where a connector stands, as far as waiting for a commit goes. */
interface Standing {
  /** The newest history that the consumer knows; null before the first. */
  history: number | null;
  shows: { history: number; lsn: string } | null;
}

interface Row {
  history: number | null;
  delivered_history: number | null;
  delivered_lsn: string | null;
}

/**
 * Waits until FASTAAPS shows a commit: until it has acknowledged a changeset of that history at that LSN or beyond
 * (an empty one where no document has changed). All that wait for a connector share one look every 50 ms.
 */
export class PositionWaits {
  readonly #pool: pg.Pool;
  readonly #polled = new Map<string, Polled<Standing>>();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** ApiServices.waitForPosition. @throws the signal's reason */
  async wait(
    connector: string,
    history: number | 'current',
    lsn: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Shown> {
    signal.throwIfAborted();
    const first = await this.#read(connector);
    const wanted = history === 'current' ? first.history : history;
    let shown = judge(first, wanted, lsn);
    if (shown.state !== 'timeout' || timeoutMs <= 0) return shown;
    const ending = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    for await (const standing of this.#watch(connector).values(ending)) {
      shown = judge(standing, wanted, lsn);
      if (shown.state !== 'timeout') return shown;
    }
    signal.throwIfAborted();
    return shown;
  }

  #watch(connector: string): Polled<Standing> {
    let polled = this.#polled.get(connector);
    if (polled === undefined) {
      // An answer that cannot be had now is asked for again; the wait ends by its time.
      polled = new Polled(
        () => this.#read(connector),
        LOOK_MS,
        () => undefined,
      );
      this.#polled.set(connector, polled);
    }
    return polled;
  }

  async #read(connector: string): Promise<Standing> {
    const s = quoteIdentifier(connectorSchemas(connector).sync);
    const { rows } = await this.#pool.query<Row>(
      `SELECT greatest(c.history, d.history) AS history, d.history AS delivered_history, d.lsn::text AS delivered_lsn
       FROM ${s}.checkpoint AS c CROSS JOIN ${s}.delivery AS d`,
    );
    const { history, delivered_history, delivered_lsn } = rows[0]!;
    const delivered = delivered_history !== null && delivered_lsn !== null;
    return { history, shows: delivered ? { history: delivered_history, lsn: delivered_lsn } : null };
  }
}

function judge({ history, shows }: Standing, wanted: number | null, lsn: string): Shown {
  const answer = (state: Shown['state']): Shown => ({ state, history: wanted, shows });
  if (wanted === null) return answer('timeout');
  if (shows !== null && shows.history === wanted && parseLsn(shows.lsn) >= parseLsn(lsn)) return answer('shown');
  return answer(history !== null && history > wanted ? 'gone' : 'timeout');
}
