import type pg from 'pg';
import type { CompiledConnector } from '../connector/compiled.ts';
import type { ApplyTarget } from './apply.ts';
import { IncompleteRows } from './incomplete.ts';
import { Marking } from './marking.ts';
import { Projection } from './project.ts';
import type { ConnectorSchemas } from './replica-names.ts';
import { ReplicaTables } from './replica-tables.ts';

/** The connector's two copies of SIIRAyS in the sync database, and what turns the live one into documents. */
export interface Replica {
  live: ApplyTarget;
  /** Filled by a full snapshot, then put in the live one's place. */
  staging: ApplyTarget;
  projection: Projection;
}

/** Reads what there is. */
export async function loadReplica(
  client: pg.ClientBase,
  connector: CompiledConnector,
  schemas: ConnectorSchemas,
): Promise<Replica> {
  const live = new ReplicaTables(schemas, false);
  const staging = new ReplicaTables(schemas, true);
  const liveIncomplete = new IncompleteRows(schemas.sync, false);
  const stagingIncomplete = new IncompleteRows(schemas.sync, true);
  for (const part of [live, staging, liveIncomplete, stagingIncomplete]) await part.load(client);
  return {
    live: { tables: live, incomplete: liveIncomplete, marking: new Marking(connector, live, schemas.sync) },
    staging: { tables: staging, incomplete: stagingIncomplete, marking: null },
    projection: new Projection(connector, live, liveIncomplete, schemas),
  };
}
