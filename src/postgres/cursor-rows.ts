import type pg from 'pg';
import Cursor from 'pg-cursor';

const FIRST_ROWS = 16;
const MOST_ROWS = 1_000;
const AIM_BYTES = 1 << 20;

/**
 * Rows of a query of any size, fetched through a portal (PostgreSQL manual, 54.2.3 "Extended Query") in portions of
 * about one mebibyte, and only as fast as they are taken. Ending the iteration early closes the portal.
 * @param length about how long a row is, in bytes: steers how many are fetched at once
 */
export async function* cursorRows<Row>(
  client: pg.ClientBase,
  sql: string,
  values: unknown[],
  length: (row: Row) => number,
): AsyncGenerator<Row> {
  const connection = watchLoss(client);
  const cursor = client.query(new Cursor<Row>(sql, values));
  try {
    let wanted = FIRST_ROWS;
    for (;;) {
      const rows = await Promise.race([cursor.read(wanted), connection.lost]);
      let bytes = 0;
      for (const row of rows) {
        bytes += length(row);
        yield row;
      }
      if (rows.length < wanted) return;
      wanted = nextPortion(rows.length, bytes);
    }
  } finally {
    await Promise.race([cursor.close(), connection.lost.catch(() => undefined)]);
    connection.unwatch();
  }
}

/** A cursor of pg-cursor waits for ever for an answer of a connection that broke between two of its calls. */
function watchLoss(client: pg.ClientBase): { lost: Promise<never>; unwatch(): void } {
  const { promise: lost, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting at that moment: the next one who does hears of it.
  lost.catch(() => undefined);
  const ended = (): void => reject(new Error('the connection to PostgreSQL ended'));
  client.on('error', reject);
  client.on('end', ended);
  return {
    lost,
    unwatch() {
      client.off('error', reject);
      client.off('end', ended);
    },
  };
}

function nextPortion(rows: number, bytes: number): number {
  return Math.max(1, Math.min(MOST_ROWS, Math.floor((AIM_BYTES * rows) / Math.max(1, bytes))));
}
