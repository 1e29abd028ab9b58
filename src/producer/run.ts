import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { ProducerConfig, RetryConfig } from '../config/types.ts';
import { loadConnectors } from '../connector/load.ts';
import { createKafka } from '../kafka/client.ts';
import { explainError } from '../observability/explain-error.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { disconnect } from '../postgres/session.ts';
import { checkSource, type NeededTable, SourceNotReady } from './check-source.ts';
import { runPipeline } from './pipeline.ts';
import { createProducerMetrics } from './producer-metrics.ts';
import { connectSource } from './source-session.ts';

/** A pipeline that ran for so long counts as well: its end is retried at once. */
const STABLE_MS = 30_000;

/**
 * Runs the producer until `signal` aborts: one pipeline after the other, since any error ends a pipeline and only new
 * client objects are safe after it. Nothing is lost meanwhile: the slot holds it.
 */
export async function runProducer(
  config: ProducerConfig,
  { log, health, metrics, signal }: ProcessContext,
): Promise<void> {
  const producerMetrics = createProducerMetrics(metrics);
  const needed = neededTables(config.connectorsDir);
  const version = (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  let failures = 0;
  const alive = setInterval(() => health.live(), 1_000);
  try {
    while (!signal.aborted) {
      const started = performance.now();
      try {
        await checkReady(config, needed);
        await runPipeline({
          config,
          kafka: createKafka(config.kafka, log),
          log,
          metrics: producerMetrics,
          version,
          onReady: () => health.ready('producer', true),
          onStandby: () => health.ready('producer', false, 'standing by: another producer holds the slot'),
          signal,
        });
      } catch (error) {
        if (signal.aborted) return;
        failures = performance.now() - started > STABLE_MS ? 0 : failures + 1;
        await told(error, { log, health }, config.retry, failures, signal);
        producerMetrics.restarted();
      }
    }
  } finally {
    clearInterval(alive);
  }
}

/** Says what went wrong, and waits before the next try: exponential, with jitter. */
async function told(
  error: unknown,
  { log, health }: { log: Logger; health: ProcessContext['health'] },
  retry: RetryConfig,
  failures: number,
  signal: AbortSignal,
): Promise<void> {
  const reason = explainError(error);
  const wait =
    failures === 0 ? 0 : Math.min(retry.maxMs, retry.minMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  health.ready('producer', false, reason);
  if (error instanceof SourceNotReady) {
    log.error({ event: 'source_not_ready', problems: error.problems, retryMs: Math.round(wait) }, error.message);
  } else {
    log.error(
      { event: 'pipeline_failed', err: error, retryMs: Math.round(wait) },
      `the producer starts again: ${reason}`,
    );
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, wait);
  const stop = (): void => resolve();
  signal.addEventListener('abort', stop, { once: true });
  await promise;
  signal.removeEventListener('abort', stop);
  clearTimeout(timer);
}

async function checkReady(config: ProducerConfig, needed: readonly NeededTable[]): Promise<void> {
  const client = await connectSource(config.siirays.url);
  try {
    const problems = await checkSource(client, config.siirays, needed);
    if (problems.length > 0) throw new SourceNotReady(problems);
  } finally {
    await disconnect(client);
  }
}

/** The tables of all connectors, each once, with every column that any of them uses. */
function neededTables(connectorsDir: string): NeededTable[] {
  const tables = new Map<string, { schema: string; table: string; columns: Set<string> }>();
  for (const connector of loadConnectors(connectorsDir)) {
    for (const { schema, table, columns } of connector.tables) {
      const name = `${schema}.${table}`;
      const entry = tables.get(name) ?? { schema, table, columns: new Set<string>() };
      for (const column of columns) entry.columns.add(column);
      tables.set(name, entry);
    }
  }
  return [...tables.values()].map((entry) => ({ ...entry, columns: [...entry.columns] }));
}
