import type pg from 'pg';
import type { RefusedDocument } from '../../fastaaps/errors.ts';
import type { DocumentEtag, DocumentVersion } from '../../fastaaps/types.ts';
import { borrow, type Lent, withConnection } from '../../postgres/borrowed-connection.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { Acknowledgement, type SentDocument } from './acknowledge.ts';
import { changesetLines } from './changeset-lines.ts';
import type { DeliveryContext, Round } from './delivery.ts';
import type { AnswerWriter, DeliverySnapshot, DeliveryStore } from './delivery-store.ts';
import { loadVersions, markDifferences, markUnfit, raiseEpoch } from './epoch.ts';
import { type Pending, readPending } from './pending.ts';
import { buryRefused } from './refused-documents.ts';
import { roundFromSnapshot } from './snapshot-round.ts';

/** The bookkeeping in the sync database. */
export class SqlDeliveryStore implements DeliveryStore {
  private readonly context: DeliveryContext;
  private readonly acknowledgement: Acknowledgement;

  constructor(context: DeliveryContext) {
    this.context = context;
    this.acknowledgement = new Acknowledgement(context.schema, context.token);
  }

  pending(): Promise<Pending> {
    return readPending(this.context.pool, this.context.schema);
  }

  async raiseEpoch(epoch: number): Promise<void> {
    await this.transaction((client) => raiseEpoch(client, this.context.schema, epoch));
  }

  async markUnfit(): Promise<void> {
    await this.transaction((client) => markUnfit(client, this.context.schema));
  }

  markDifferences(versions: AsyncIterable<DocumentVersion>, raiseTo: number | null): Promise<number> {
    const { pool, schema, connector } = this.context;
    return withConnection(pool, async (client) => {
      await loadVersions(client, versions);
      return markDifferences(client, schema, connector, this.acknowledgement, raiseTo);
    });
  }

  round(deliver: (snapshot: DeliverySnapshot) => Promise<Round>): Promise<Round> {
    const { context, acknowledgement } = this;
    const { schema, connector } = context;
    return roundFromSnapshot(context, (client, pending) =>
      deliver({
        pending,
        lines: () => changesetLines(client, schema, connector.root.idType),
        nextVersion: () => nextVersion(client, schema),
        answer: (epoch) => new SqlAnswerWriter(context, acknowledgement, client, epoch),
        bury: (epoch, refused: readonly RefusedDocument[]) =>
          buryRefused(context, acknowledgement, client, epoch, refused),
      }),
    );
  }

  private transaction(work: (client: pg.ClientBase) => Promise<void>): Promise<void> {
    return withConnection(this.context.pool, async (client) => {
      await this.acknowledgement.begin(client);
      await work(client);
      await this.acknowledgement.commit(client);
    });
  }
}

async function nextVersion(client: pg.ClientBase, schema: string): Promise<string> {
  const sequence = `${quoteIdentifier(schema)}.outbox_version`;
  const { rows } = await client.query<{ version: string }>('SELECT nextval($1::text::regclass)::text AS version', [
    sequence,
  ]);
  return rows[0]!.version;
}

class SqlAnswerWriter implements AnswerWriter {
  documents = 0;
  private readonly context: DeliveryContext;
  private readonly acknowledgement: Acknowledgement;
  private readonly snapshot: pg.ClientBase;
  private readonly epoch: number;
  private lent: Lent | undefined;

  constructor(context: DeliveryContext, acknowledgement: Acknowledgement, snapshot: pg.ClientBase, epoch: number) {
    this.context = context;
    this.acknowledgement = acknowledgement;
    this.snapshot = snapshot;
    this.epoch = epoch;
  }

  async write(etags: readonly DocumentEtag[]): Promise<void> {
    const sent = await this.sent(etags);
    this.documents += sent.length;
    await this.acknowledgement.accept(await this.connection(), this.epoch, sent);
  }

  async finish(delivered: Parameters<Acknowledgement['delivered']>[1]): Promise<void> {
    const client = await this.connection();
    await this.acknowledgement.delivered(client, delivered);
    await this.acknowledgement.commit(client);
    this.lent?.release();
    this.lent = undefined;
  }

  giveUp(): void {
    this.lent?.release(true);
    this.lent = undefined;
  }

  private async connection(): Promise<pg.PoolClient> {
    if (this.lent) return this.lent.client;
    this.lent = await borrow(this.context.pool);
    await this.acknowledgement.begin(this.lent.client);
    return this.lent.client;
  }

  /** The versions that were sent, from the snapshot that they were sent from. */
  private async sent(etags: readonly DocumentEtag[]): Promise<SentDocument[]> {
    const byId = new Map(etags);
    const { rows } = await this.snapshot.query<{ id: string; version: string }>(
      `SELECT id, version::text AS version FROM ${quoteIdentifier(this.context.schema)}.outbox WHERE id = ANY ($1)`,
      [[...byId.keys()]],
    );
    return rows.map(({ id, version }) => ({ id, version, etag: byId.get(id) ?? null }));
  }
}
