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
  const loss = new LossWatch(client);
  const cursor = client.query(new Cursor<Row>(sql, values));
  try {
    let wanted = FIRST_ROWS;
    for (;;) {
      const rows = await loss.orFailing(cursor.read(wanted));
      let bytes = 0;
      for (const row of rows) {
        bytes += length(row);
        yield row;
      }
      if (rows.length < wanted) return;
      wanted = nextPortion(rows.length, bytes);
    }
  } finally {
    // A connection that is lost has no portal any more.
    await loss.orFailing(cursor.close()).catch((error: unknown) => loss.rethrow(error));
    loss.end();
  }
}

/**
 * A cursor of pg-cursor waits for ever for an answer of a connection that broke between two of its calls. One promise for
 * the loss, raced with each portion, would keep every portion for as long as the cursor lives.
 */
class LossWatch {
  readonly #client: pg.ClientBase;
  #lost: Error | null = null;
  #fail: (error: Error) => void = () => undefined;
  readonly #onError = (error: Error): void => this.#lose(error);
  readonly #onEnd = (): void => this.#lose(new Error('the connection to PostgreSQL ended'));

  constructor(client: pg.ClientBase) {
    this.#client = client;
    client.on('error', this.#onError);
    client.on('end', this.#onEnd);
  }

  /** What `work` gives, or an error as soon as the connection is lost. One call at a time. */
  orFailing<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      if (this.#lost) reject(this.#lost);
      work.then(resolve, reject);
    });
  }

  /** Throws what is no consequence of the loss. */
  rethrow(error: unknown): void {
    if (this.#lost === null) throw error;
  }

  end(): void {
    this.#client.off('error', this.#onError);
    this.#client.off('end', this.#onEnd);
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    this.#fail(this.#lost);
  }
}

function nextPortion(rows: number, bytes: number): number {
  return Math.max(1, Math.min(MOST_ROWS, Math.floor((AIM_BYTES * rows) / Math.max(1, bytes))));
}
