import { createHash } from 'node:crypto';
import type { TableRef } from '../connector/compiled.ts';
import { quoteRelation } from '../postgres/identifier.ts';
import { collectionName, namePart } from '../postgres/name-parts.ts';

export { collectionName };

/** PostgreSQL cuts identifiers at 63 bytes (manual, 4.1.1). */
const NAME_BYTES = 63;

/** The schemas that one connector has in the sync database (unquoted). */
export interface ConnectorSchemas {
  /** The replica. */
  live: string;
  /** The copy that a full snapshot is filled into. */
  staging: string;
  /** Checkpoint, marks, documents, outbox. */
  sync: string;
}

export function connectorSchemas(connector: string): ConnectorSchemas {
  return { live: connector, staging: `${connector}_staging`, sync: `${connector}_sync` };
}

/** Cuts a name to what PostgreSQL keeps of it, with a hash at the end so that cut names stay apart. */
export function fittingName(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES) return name;
  const mark = `_${createHash('sha256').update(name).digest('hex').slice(0, 10)}`;
  let head = name;
  while (Buffer.byteLength(head) + mark.length > NAME_BYTES) head = head.slice(0, -1);
  return head + mark;
}

/** A SIIRAyS table's name in the replica: its own for schema public, else schema.table in one identifier. */
export function replicaTableName(table: TableRef): string {
  return fittingName(table.schema === 'public' ? namePart(table.table) : collectionName(table));
}

export function replicaRelation(replicaSchema: string, table: TableRef): string {
  return quoteRelation(replicaSchema, replicaTableName(table));
}
