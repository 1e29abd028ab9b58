import type { DeliveryContext } from './delivery.ts';
import type { Pending } from './pending.ts';

export interface DeliveredFigures {
  ignored: number;
  bytes: number;
  /** How long the changeset took. */
  ms: number;
}

/** Tells log and metrics of a changeset that FASTAAPS acknowledged. */
export function reportDelivered(context: DeliveryContext, pending: Pending, figures: DeliveredFigures): void {
  const { log, counters, connector } = context;
  const { projected, documents, deleted } = pending;
  if (projected === null) return;
  const delayMs = Math.max(0, Math.round(Date.now() - projected.committedMs));
  const ms = Math.round(figures.ms);
  const { ignored, bytes } = figures;
  counters.changesets.inc({ adapter: connector.target.adapter });
  counters.documents.inc({ op: 'upsert' }, documents - deleted);
  counters.documents.inc({ op: 'delete' }, deleted);
  counters.bytes.inc(bytes);
  counters.delay.observe(delayMs / 1_000);
  counters.duration.observe(figures.ms / 1_000);
  const { lsn, seq, history } = projected;
  log.info(
    { event: 'changeset_delivered', documents, deleted, ignored, history, seq, lsn, delayMs, ms, bytes },
    'delivered',
  );
}
