import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError } from '../config/configuration-error.ts';
import type { ConsumerConfig } from '../config/types.ts';
import type { CompiledConnector } from '../connector/compiled.ts';
import { loadConnectors } from '../connector/load.ts';
import { FastaapsClient } from '../fastaaps/client.ts';
import { explainError } from '../observability/explain-error.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { createBackoff } from '../retry/backoff.ts';
import { createConsumerMetrics } from './consumer-metrics.ts';
import { createDelivery } from './delivery/delivery.ts';
import { Paused } from './pause.ts';
import { runPipeline } from './pipeline.ts';

/** A pipeline that ran for so long counts as well: the next one starts soon. */
const STABLE_MS = 30_000;

/**
 * Runs the consumer of one connector until `signal` aborts: one pipeline after the other, with back-off. Nothing is lost
 * meanwhile: Kafka holds it.
 * @throws ConfigurationError, ConnectorError: mistakes that do not pass by themselves
 */
export async function runConsumer(config: ConsumerConfig, context: ProcessContext): Promise<void> {
  const { log, health, signal } = context;
  const connector = findConnector(config);
  const metrics = createConsumerMetrics(context.metrics);
  const backoff = createBackoff(config.retry);
  const client = new FastaapsClient(config.fastaaps);
  const alive = setInterval(() => health.live(), 5_000);
  try {
    while (!signal.aborted) {
      const started = performance.now();
      try {
        await runPipeline({
          config,
          connector,
          context,
          metrics,
          createDelivery: ({ schemas, onLost, ...options }) =>
            createDelivery({
              ...options,
              schema: schemas.sync,
              client,
              retry: config.retry,
              restoreIntervalMs: config.restoreIntervalMs,
              log,
              metrics: context.metrics,
              health,
              onTokenLost: onLost,
            }),
        });
      } catch (error) {
        if (signal.aborted) return;
        // The next one waits until it is resumed.
        if (error instanceof Paused) continue;
        if (performance.now() - started > STABLE_MS) backoff.reset();
        const retryMs = backoff.next();
        const reason = explainError(error);
        metrics.restarts.inc();
        health.ready('consumer', false, reason);
        log.error({ event: 'pipeline_failed', err: error, retryMs }, `the consumer starts again: ${reason}`);
        // The wait ends early, with an error of no interest, when the process is asked to end.
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  } finally {
    clearInterval(alive);
    await client.close();
  }
}

function findConnector(config: ConsumerConfig): CompiledConnector {
  const connectors = loadConnectors(config.connectorsDir);
  const found = connectors.find(({ name }) => name === config.connector);
  if (found) return found;
  const names = connectors.map(({ name }) => name).join(', ');
  throw new ConfigurationError([
    { variable: 'CONNECTOR', given: `"${config.connector}"`, expected: `one of ${config.connectorsDir}: ${names}` },
  ]);
}
