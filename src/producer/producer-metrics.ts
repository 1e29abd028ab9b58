import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { createActivityGauge, METRICS_PREFIX } from '../observability/metrics.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { Position } from './position.ts';

/** What the producer tells Prometheus. Names are stable; cardinality is one series each. */
export interface ProducerMetrics {
  /** A Kafka transaction was finished. */
  committed(position: Position, figures: { bytes: number; messages: number; ms: number }): void;
  /** From SIIRAyS's commit to Kafka's, milliseconds. */
  delay(ms: number): void;
  /** How far the stream was handled, and what waits for Kafka. */
  passed(lsn: Lsn, waitingBytes: number): void;
  /** The pipeline starts again after an error. */
  restarted(): void;
  /** Whether this process holds the slot, and the stream flows. */
  active(works: boolean): void;
}

const SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createProducerMetrics(registry: Registry): ProducerMetrics {
  const registers = [registry];
  const name = (text: string): string => `${METRICS_PREFIX}producer_${text}`;
  const transactions = new Counter({
    name: name('kafka_transactions_total'),
    help: 'Kafka transactions committed.',
    registers,
  });
  const messages = new Counter({ name: name('messages_total'), help: 'Messages written to Kafka.', registers });
  const bytes = new Counter({
    name: name('bytes_total'),
    help: 'Bytes of keys and values written to Kafka.',
    registers,
  });
  const commit = new Histogram({
    name: name('kafka_transaction_seconds'),
    help: 'From the first request of a Kafka transaction to its commit.',
    buckets: SECONDS,
    registers,
  });
  const delay = new Histogram({
    name: name('delay_seconds'),
    help: 'From the newest SIIRAyS commit of a Kafka transaction to the commit in Kafka.',
    buckets: SECONDS,
    registers,
  });
  const active = createActivityGauge(registry);
  const history = new Gauge({ name: name('history'), help: 'Number of the history being written.', registers });
  const seq = new Gauge({ name: name('seq'), help: 'Units of the history that Kafka holds.', registers });
  const position = new Gauge({ name: name('position_bytes'), help: 'LSN that Kafka holds, in bytes.', registers });
  const handled = new Gauge({ name: name('handled_bytes'), help: 'LSN that was handled, in bytes.', registers });
  const waiting = new Gauge({ name: name('waiting_bytes'), help: 'Encoded messages that wait for Kafka.', registers });
  const restarts = new Counter({
    name: name('restarts_total'),
    help: 'Starts of the pipeline after an error.',
    registers,
  });
  return {
    committed(at, figures) {
      transactions.inc();
      messages.inc(figures.messages);
      bytes.inc(figures.bytes);
      commit.observe(figures.ms / 1000);
      history.set(at.history);
      seq.set(Number(at.seq));
      position.set(Number(at.end_lsn));
    },
    delay: (ms) => delay.observe(Math.max(0, ms) / 1000),
    passed(lsn, waitingBytes) {
      handled.set(Number(lsn));
      waiting.set(waitingBytes);
    },
    restarted: () => restarts.inc(),
    active: (works) => active.set(works ? 1 : 0),
  };
}
