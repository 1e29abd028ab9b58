import { Counter, Histogram, type Registry } from 'prom-client';
import { METRICS_PREFIX } from '../../observability/metrics.ts';

export interface DeliveryMetrics {
  changesets: Counter<'adapter'>;
  documents: Counter<'op'>;
  bytes: Counter;
  /** Attempts that failed, by the kind of error. */
  retries: Counter<'kind'>;
  deadLetters: Counter;
  epochsRaised: Counter;
  strayed: Counter;
  /** From the commit in SIIRAyS to FASTAAPS's acknowledgement. */
  delay: Histogram;
  /** From the first byte of the request to the last of the answer. */
  duration: Histogram;
}

const DELAY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const made = new WeakMap<Registry, DeliveryMetrics>();

/** The metrics of deliveries in a registry; made once, for a delivery is made anew with every token. */
export function deliveryMetrics(registry: Registry): DeliveryMetrics {
  const before = made.get(registry);
  if (before) return before;
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: T[] = []) =>
    new Counter<T>({ name: `${METRICS_PREFIX}${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string) =>
    new Histogram({ name: `${METRICS_PREFIX}${name}`, help, buckets: DELAY_BUCKETS, registers });
  const metrics: DeliveryMetrics = {
    changesets: counter('changesets_delivered_total', 'Changesets that FASTAAPS acknowledged.', ['adapter']),
    documents: counter('documents_delivered_total', 'Documents in acknowledged changesets.', ['op']),
    bytes: counter('delivered_bytes_total', 'Size of acknowledged changesets.'),
    retries: counter('delivery_failures_total', 'Deliveries that failed and are tried again.', ['kind']),
    deadLetters: counter('documents_refused_total', 'Documents that FASTAAPS refused.'),
    epochsRaised: counter('epochs_raised_total', 'Times that the epoch was raised above what FASTAAPS has.'),
    strayed: counter(
      'fastaaps_strayed_total',
      'Times that FASTAAPS was found restored, emptied or written by another.',
    ),
    delay: histogram('delivery_delay_seconds', 'From the commit in SIIRAyS to the acknowledgement of FASTAAPS.'),
    duration: histogram('delivery_duration_seconds', 'How long a changeset takes to send.'),
  };
  made.set(registry, metrics);
  return metrics;
}
