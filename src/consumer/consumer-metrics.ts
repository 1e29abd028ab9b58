import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { createActivityGauge, METRICS_PREFIX } from '../observability/metrics.ts';

/** What the applying part counts and measures. Made once per process: pipelines come and go. */
export interface ConsumerMetrics {
  transactions: Counter;
  events: Counter;
  batchSeconds: Histogram;
  /** From the commit in SIIRAyS to the commit in the replica; compares two machines' clocks. */
  delaySeconds: Histogram;
  lagSeconds: Gauge;
  projectionSeconds: Histogram;
  projected: Counter;
  refused: Counter;
  queuedBytes: Gauge;
  behindMessages: Gauge;
  snapshotState: Gauge;
  /** Times that the replica could not go on and a full snapshot was asked for. */
  frozen: Counter;
  restarts: Counter;
  /** 1 while this process holds the lease. */
  active: Gauge;
}

const FAST = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300];

export function createConsumerMetrics(registry: Registry): ConsumerMetrics {
  const registers = [registry];
  const name = (rest: string) => `${METRICS_PREFIX}consumer_${rest}`;
  return {
    active: createActivityGauge(registry),
    transactions: new Counter({ name: name('transactions_total'), help: 'Units applied to the replica.', registers }),
    events: new Counter({ name: name('events_total'), help: 'Row events applied to the replica.', registers }),
    batchSeconds: new Histogram({
      name: name('batch_seconds'),
      help: 'Duration of an apply transaction, projection included.',
      buckets: FAST,
      registers,
    }),
    delaySeconds: new Histogram({
      name: name('delay_seconds'),
      help: 'From the commit in SIIRAyS to the commit in the replica.',
      buckets: FAST,
      registers,
    }),
    lagSeconds: new Gauge({
      name: name('lag_seconds'),
      help: 'Age of the newest applied SIIRAyS commit while messages wait; 0 when all is applied.',
      registers,
    }),
    projectionSeconds: new Histogram({
      name: name('projection_seconds'),
      help: 'Duration of projecting the marked documents.',
      buckets: FAST,
      registers,
    }),
    projected: new Counter({ name: name('documents_total'), help: 'Document versions made.', registers }),
    refused: new Counter({
      name: name('documents_refused_total'),
      help: 'Document versions that break the connector’s schema.',
      registers,
    }),
    queuedBytes: new Gauge({ name: name('queued_bytes'), help: 'Messages read and not applied yet.', registers }),
    behindMessages: new Gauge({
      name: name('behind_messages'),
      help: 'Messages of the transaction topic that are not read yet.',
      registers,
    }),
    snapshotState: new Gauge({
      name: name('snapshot_state'),
      help: '0 none, 1 a full snapshot is asked for, 2 it is being filled in.',
      registers,
    }),
    frozen: new Counter({
      name: name('replica_frozen_total'),
      help: 'Times that the replica could not go on and a full snapshot was asked for.',
      registers,
    }),
    restarts: new Counter({
      name: name('pipeline_restarts_total'),
      help: 'Pipelines that ended with an error.',
      registers,
    }),
  };
}
