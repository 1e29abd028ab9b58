import type pg from 'pg';
import { connectorSchemas } from '../../consumer/replica-names.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { type Lsn, parseLsn } from '../../postgres/lsn.ts';
import type { Position } from '../../producer/position.ts';
import type { PositionWatch } from '../position-watch.ts';
import { Polled } from './polled.ts';
import type { Shown } from './services.ts';

const LOOK_MS = 50;

/** Where a connector stands, as far as waiting for a commit goes. */
interface Standing {
  /** The newest history that the consumer knows; null before the first. */
  history: number | null;
  shows: { history: number; seq: string; lsn: string } | null;
}

/** What the producer's position tells: the transaction by which everything below an LSN is in Kafka. */
export type ProducerWatch = Pick<PositionWatch, 'start' | 'reached'>;

interface Row {
  history: number | null;
  delivered_history: number | null;
  delivered_seq: string | null;
  delivered_lsn: string | null;
}

/**
 * Waits until FASTAAPS shows a commit: until it has acknowledged a changeset of that history at that LSN or beyond
 * (an empty one where no document has changed). With the producer's position also an LSN is reached that lies behind the last
 * commit of a published table, as happens where others write to SIIRAyS meanwhile. All that wait for a connector share one look
 * every 50 ms.
 */
export class PositionWaits {
  readonly #pool: pg.Pool;
  readonly #watch: ProducerWatch | null;
  readonly #polled = new Map<string, Polled<Standing>>();

  constructor(pool: pg.Pool, watch: ProducerWatch | null = null) {
    this.#pool = pool;
    this.#watch = watch;
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
    this.#watch?.start();
    const first = await this.#read(connector);
    const wait = new Wait(history === 'current' ? first.history : history, parseLsn(lsn), this.#watch);
    let shown = wait.judge(first);
    if (shown.state !== 'timeout' || timeoutMs <= 0) return shown;
    const ending = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    for await (const standing of this.#looks(connector).values(ending)) {
      shown = wait.judge(standing);
      if (shown.state !== 'timeout') return shown;
    }
    signal.throwIfAborted();
    return shown;
  }

  #looks(connector: string): Polled<Standing> {
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
      `SELECT greatest(c.history, d.history) AS history, d.history AS delivered_history,
         d.seq::text AS delivered_seq, d.lsn::text AS delivered_lsn
       FROM ${s}.checkpoint AS c CROSS JOIN ${s}.delivery AS d`,
    );
    const { history, delivered_history, delivered_seq, delivered_lsn } = rows[0]!;
    const delivered = delivered_history !== null && delivered_seq !== null && delivered_lsn !== null;
    return {
      history,
      shows: delivered ? { history: delivered_history, seq: delivered_seq, lsn: delivered_lsn } : null,
    };
  }
}

/** One wait for one commit. */
class Wait {
  readonly #history: number | null;
  readonly #lsn: Lsn;
  readonly #watch: ProducerWatch | null;
  /** The first position of the producer that had passed the LSN. */
  #passed: Pick<Position, 'history' | 'seq'> | null = null;

  constructor(history: number | null, lsn: Lsn, watch: ProducerWatch | null) {
    this.#history = history;
    this.#lsn = lsn;
    this.#watch = watch;
  }

  judge({ history, shows }: Standing): Shown {
    const wanted = this.#history;
    const told = shows && { history: shows.history, lsn: shows.lsn };
    const answer = (state: Shown['state']): Shown => ({ state, history: wanted, shows: told });
    if (wanted === null) return answer('timeout');
    if (shows !== null && shows.history === wanted && this.#isReached(shows)) return answer('shown');
    return answer(history !== null && history > wanted ? 'gone' : 'timeout');
  }

  #isReached({ history, seq, lsn }: NonNullable<Standing['shows']>): boolean {
    if (parseLsn(lsn) >= this.#lsn) return true;
    this.#passed ??= this.#watch?.reached(this.#lsn) ?? null;
    return this.#passed !== null && this.#passed.history === history && BigInt(seq) >= this.#passed.seq;
  }
}
