import type pg from 'pg';
import { withConnection } from '../../postgres/borrowed-connection.ts';
import { TokenLost } from '../broken-history.ts';
import type { DeliveryContext, Round } from './delivery.ts';
import { beginSnapshot, type Pending, type ProjectedCommit, readPending } from './pending.ts';

/** What is pending, where something was projected. */
export type Deliverable = Pending & { projected: ProjectedCommit };

/**
 * Runs one round of delivery from one snapshot of the bookkeeping; nothing to do while nothing was projected.
 * @throws TokenLost where another process works now
 */
export function roundFromSnapshot(
  { pool, schema, token }: DeliveryContext,
  deliver: (client: pg.ClientBase, pending: Deliverable) => Promise<Round>,
): Promise<Round> {
  return withConnection(pool, async (client) => {
    await beginSnapshot(client);
    const pending = await readPending(client, schema);
    if (pending.token !== token) throw new TokenLost(`token ${token} is no longer valid`);
    const { projected } = pending;
    const round: Round = projected === null ? { kind: 'idle' } : await deliver(client, { ...pending, projected });
    await client.query('COMMIT');
    return round;
  });
}
