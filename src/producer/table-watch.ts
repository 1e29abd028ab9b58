import type pg from 'pg';
import type { Logger } from '../logging/logger.ts';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import type { ChangeStream, TurnedTable } from './change-stream.ts';
import type { TableEncoders } from './table-encoders.ts';
import { nameOf, type TableEras } from './table-eras.ts';

export interface TableWatchOptions {
  client: pg.ClientBase;
  encoders: TableEncoders;
  eras: TableEras;
  stream: ChangeStream;
  log: Logger;
  /** Runs `act` at the next place between two transactions where `when` holds. */
  between(when: () => boolean, act: () => void): Promise<void>;
  /** There is something to send. */
  onTurned(): void;
}

/**
 * Looks into SIIRAyS's catalogue for changes of tables of which the stream tells nothing, or not yet: they are told in
 * the transaction topic, behind everything that had been committed when they were seen.
 */
export class TableWatch {
  readonly #options: TableWatchOptions;

  constructor(options: TableWatchOptions) {
    this.#options = options;
  }

  /** One look; resolves when what it found has been told. */
  async look(): Promise<void> {
    const { client, encoders, eras, stream, log, between, onTurned } = this.#options;
    const published = (await encoders.describe(client)).filter((table) => encoders.isTracked(nameOf(table)));
    const changed = published.filter((table) => !eras.isSame(table));
    for (const table of published) if (!changed.includes(table)) eras.note(table);
    const gone = eras.gone(published);
    if (changed.length + gone.length === 0) return;
    const flushed = await flushedLsn(client);
    const next = new Map(changed.map((table) => [table, eras.of(nameOf(table)) + 1]));
    const writers = new Map(
      await Promise.all([...next].map(async ([table, era]) => [table, await encoders.ofEra(table, era)] as const)),
    );
    await between(
      () => stream.passed >= flushed,
      () => {
        const turned: TurnedTable[] = [];
        for (const [table, writer] of writers) {
          // The stream itself may have come to the change meanwhile.
          if (eras.of(nameOf(table)) + 1 !== next.get(table)) continue;
          eras.note(table);
          turned.push({ name: nameOf(table), oid: table.oid, writer });
        }
        for (const name of gone) {
          eras.noteGone(name);
          turned.push({ name, oid: null, writer: null });
        }
        if (turned.length === 0) return;
        stream.turn(turned);
        onTurned();
        log.warn(
          { event: 'tables_changed', changed: changed.map(nameOf), gone },
          'tables of SIIRAyS are no longer what they were: who shows them reads them again',
        );
      },
    );
  }
}

async function flushedLsn(client: pg.ClientBase): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
  return parseLsn(rows[0]!.lsn);
}
