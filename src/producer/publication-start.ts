import type pg from 'pg';

/**
 * Knows from which snapshot on a published table may be read. ALTER PUBLICATION does not wait for open writers: what they
 * had written to the table before is never streamed, so that only a snapshot that sees all of them is complete.
 */
export class PublicationStart {
  /**
   * By oid, as decimal texts: all transactions that were open when the table was first seen in the publication have
   * smaller ids. Never changed, but replaced.
   */
  #next: Readonly<Record<string, string>>;

  /** @param noted what an earlier run has noted, so that it is not waited for again */
  constructor(noted: Readonly<Record<string, string>> = {}) {
    this.#next = noted;
  }

  get noted(): Readonly<Record<string, string>> {
    return this.#next;
  }

  /** The tables were published at a time when no transaction had this id, or a greater one. */
  note(oids: Iterable<number>, next: bigint): void {
    const added = Object.fromEntries([...oids].map((oid) => [oid, String(next)]));
    this.#next = { ...added, ...this.#next };
  }

  isNoted(oid: number): boolean {
    return this.#next[oid] !== undefined;
  }

  /** Whether a snapshot with this xmin sees all that was written to the table before it was published. */
  reached(oid: number, xmin: bigint): boolean {
    const next = this.#next[oid];
    return next !== undefined && xmin >= BigInt(next);
  }
}

/**
 * The id that the next transaction will get. A snapshot's xmax does not serve: it lies behind the last transaction that
 * has *ended*, so that open ones may have greater ids. age() counts from the next id where the session has none of its
 * own (PostgreSQL, xid_age()), and nothing is written for it.
 */
export async function nextXid(client: pg.ClientBase): Promise<bigint> {
  const { rows } = await client.query<{ next: string }>(
    `SELECT pg_snapshot_xmin(s)::text::numeric + age(xid(pg_snapshot_xmin(s))) AS next
       FROM (SELECT pg_current_snapshot() AS s) AS now`,
  );
  return BigInt(rows[0]!.next);
}
