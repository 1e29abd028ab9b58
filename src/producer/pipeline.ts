import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import type { ProducerConfig } from '../config/types.ts';
import { ensureTopics } from '../kafka/admin.ts';
import { createRegistry } from '../kafka/registry.ts';
import { lastRecord } from '../kafka/single-reader.ts';
import { topicsFor } from '../kafka/topics.ts';
import { TRANSACTION_KEY_SCHEMA, TRANSACTION_SCHEMA } from '../kafka/transaction-record.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { disconnect } from '../postgres/session.ts';
import { Accepting } from './accepting.ts';
import { ChunkReader, currentSnapshot } from './chunk-reader.ts';
import { ClearableSignal } from './clearable-signal.ts';
import { Outgoing } from './outgoing.ts';
import { decodePosition, type FoundBroken } from './position.ts';
import type { ProducerMetrics } from './producer-metrics.ts';
import { nextXid, PublicationStart } from './publication-start.ts';
import { watchRegistry } from './registry-watch.ts';
import { SlotStream } from './slot-stream.ts';
import { SnapshotRunner } from './snapshot-runner.ts';
import { connectSource, ensureSlot, identifySource, slotPosition } from './source-session.ts';
import { Streaming } from './streaming.ts';
import { TableEncoders } from './table-encoders.ts';
import { TableEras } from './table-eras.ts';
import { TableWatch } from './table-watch.ts';
import { TransactionWriter } from './transaction-writer.ts';

export interface PipelineOptions {
  config: ProducerConfig;
  kafka: Kafka;
  log: Logger;
  metrics: ProducerMetrics;
  version: string;
  /** What an earlier stream has found out: that history is not gone on with. */
  foundBroken: FoundBroken | null;
  /** `schema.table` of those whose changes are looked for; all published ones where it is not given. */
  tables?: ReadonlySet<string>;
  /** Called once the stream flows. */
  onReady(): void;
  /** Called while another producer holds the slot. */
  onStandby(): void;
  signal: AbortSignal;
}

/** How often the slot is tried for while another session holds it. */
const SLOT_RETRY_MS = 200;
const SLOT_IN_USE = '55006';
/** How often the server hears where we are. */
const CONFIRM_MS = 500;
/** How often SIIRAyS's catalogue is looked at for changed tables. */
const LOOK_MS = 1_000;
const POSITION_READ_MS = 30_000;
/** How long each part is waited for at the end. */
const CLOSE_MS = 1_500;

/**
 * One life of the producer, from the slot to the first error. Resolves when `signal` aborts; throws what went wrong.
 * The order of the start is the protocol: hold the slot, fence, read the position, and only then handle the stream.
 */
export async function runPipeline(options: PipelineOptions): Promise<void> {
  const { config, kafka, log, metrics, signal } = options;
  const topics = topicsFor(config.kafka.topicPrefix);
  const registry = createRegistry(config.registry);
  const outgoing = new Outgoing(config.kafka.maxMessageBytes, config.writer.batchBytes);
  const writer = new TransactionWriter(
    {
      kafka,
      transactionalIdPrefix: `${config.kafka.topicPrefix}.producer.${config.siirays.slot}`,
      transactionTimeoutMs: config.kafka.transactionTimeoutMs,
      positionTopic: topics.position,
    },
    outgoing,
  );
  const failure = new AbortController();
  const ended = AbortSignal.any([signal, failure.signal]);
  const fail = (error: unknown): void => failure.abort(error);
  const closing: (() => Promise<unknown>)[] = [() => registry.close(), () => writer.close()];

  try {
    const catalogue = await connectSource(config.siirays.url);
    closing.push(() => disconnect(catalogue));
    // Making a slot, or a lock on a table that is being resolved, may take long: at the end nobody waits for it.
    ended.addEventListener('abort', () => disconnect(catalogue), { once: true });
    await ensureTopics(kafka, config.kafka, topics, []);
    const transactionIds = {
      key: await registry.register(`${topics.transaction}-key`, JSON.stringify(TRANSACTION_KEY_SCHEMA)),
      value: await registry.register(`${topics.transaction}-value`, JSON.stringify(TRANSACTION_SCHEMA)),
    };
    const known = new Set<string>();
    const eras = new TableEras();
    const encoders = new TableEncoders({
      registry,
      topics,
      eras,
      isTracked: (name) => options.tables?.has(name) ?? true,
      onIncompatible: (topic) =>
        log.warn(
          { event: 'schema_incompatible', topic },
          `the newest schema of ${topic} cannot read what was written before: its readers must read by each message's own schema`,
        ),
      publication: config.siirays.publication,
      source: { version: options.version, name: config.kafka.topicPrefix, db: catalogue.database ?? '' },
      ensureTopic: async (topic) => {
        if (known.has(topic)) return;
        await ensureTopics(kafka, config.kafka, topics, [topic]);
        known.add(topic);
      },
    });
    const published = await encoders.describe(catalogue);
    const created = await ensureSlot(catalogue, config.siirays.slot);
    if (created) log.info({ event: 'slot_created', slot: config.siirays.slot }, 'replication slot created');
    // A new slot begins only when all who were writing have ended: what was published before it is streamed whole.
    const readable = created ? 0n : await nextXid(catalogue);
    const tables = published.map((table) => topics.table(table.schema, table.table));
    await ensureTopics(kafka, config.kafka, topics, tables);
    for (const topic of tables) known.add(topic);
    await encoders.prepare();
    watchRegistry(registry, log, ended).catch(fail);

    // Twice: what is being sent, and what is being filled meanwhile. So a piece can always be taken when it is full.
    const fullBytes = 2 * config.writer.batchBytes;
    const streaming = new Streaming({
      outgoing,
      writer,
      fullBytes,
      holdSlot: async (handler) => {
        const slot = await holdSlot(options, ended, handler);
        closing.unshift(() => slot.close());
        return slot;
      },
      slotPosition: () => slotPosition(catalogue, config.siirays.slot),
      lastPosition: async () => {
        const record = await lastRecord(kafka, topics.position, POSITION_READ_MS);
        return record?.value ? decodePosition(record.value.toString('utf8')) : null;
      },
      identify: () => identifySource(config.siirays.url, catalogue, config.siirays.slot, config.siirays.publication),
      foundBroken: options.foundBroken,
      onBroken: (reason, history) => log.error({ event: 'history_broken', reason, history }, 'a new history begins'),
      onError: fail,
      signal: ended,
      now: () => performance.now(),
    });
    const confirming = setInterval(() => streaming.confirm().catch(fail), CONFIRM_MS);
    closing.unshift(async () => clearInterval(confirming));
    const position = await streaming.open();
    log.info(
      {
        event: 'stream_started',
        history: position.history,
        seq: String(position.seq),
        lsn: formatLsn(position.end_lsn),
      },
      'the stream goes on from here',
    );

    eras.restore(position.eras);
    const publicationStart = new PublicationStart(position.published);
    publicationStart.note(
      published.map((table) => table.oid),
      readable,
    );
    const room = new ClearableSignal();
    const { stream, feed, writing } = streaming.begin({
      topics,
      publicationStart,
      eras,
      transactionIds,
      known: (relation) => encoders.known(relation),
      resolve: (relation) => encoders.resolve(catalogue, relation),
      now: Date.now,
      onSent: () => room.set(),
      onCommitted: (at, figures) => {
        metrics.committed(at, figures);
        if (at.last) metrics.delay(Date.now() - at.last.commit_ts);
      },
    });
    closing.unshift(async () => {
      writer.stop();
      await writing.catch(() => undefined);
    });
    const reader = new ChunkReader({
      url: config.siirays.readUrl,
      publication: config.siirays.publication,
      publicationStart,
      eras,
      lockTimeoutMs: config.snapshot.lockTimeoutMs,
      chunkRows: config.snapshot.chunkRows,
      chunkBytes: config.snapshot.chunkBytes,
    });
    closing.push(() => reader.close());
    const requested = new ClearableSignal();
    const accepting = new Accepting({
      stream,
      log,
      between: (when, act) => feed.between(when, act),
      limit: config.kafka.maxMessageBytes / 2,
      onAccepted: () => requested.set(),
      onError: fail,
    });
    const runner = new SnapshotRunner({
      stream,
      reader,
      encoders,
      log,
      between: (when, publish) => feed.between(when, publish),
      room: async () => {
        while (outgoing.bytes >= fullBytes) {
          ended.throwIfAborted();
          await room.wait();
        }
      },
      onServed: () => accepting.accept(),
      logLimit: config.snapshot.chunkBytes * 4,
      signal: ended,
    });

    const serving = serve(runner, requested, ended);
    serving.catch(fail);
    closing.unshift(async () => {
      requested.set();
      room.set();
      feed.end(new Error('the producer stops'));
      // What is being read is given up.
      await reader.close();
      await serving.catch(() => undefined);
    });

    closing.unshift(() => accepting.stop());
    await accepting.follow(kafka, topics.signal);
    requested.set();
    options.onReady();

    const watch = new TableWatch({
      client: catalogue,
      encoders,
      eras,
      stream,
      log,
      between: (when, act) => feed.between(when, act),
      onTurned: () => writer.wake(),
    });
    let watching = false;
    const watchTables = (): void => {
      if (watching) return;
      watching = true;
      watch
        .look()
        .catch(fail)
        .finally(() => {
          watching = false;
        });
    };
    watchTables();
    const watchTimer = setInterval(watchTables, LOOK_MS);
    closing.unshift(async () => clearInterval(watchTimer));

    let looking = false;
    const timer = setInterval(() => {
      metrics.passed(stream.passed, outgoing.bytes);
      if (stream.delivered.size > 0 && !looking) {
        looking = true;
        currentSnapshot(catalogue)
          .then((snapshot) => stream.delivered.forgetSeen(snapshot))
          .catch(fail)
          .finally(() => {
            looking = false;
          });
      }
      streaming.tick();
    }, CONFIRM_MS);
    closing.unshift(async () => clearInterval(timer));

    await aborted(ended);
    if (failure.signal.aborted) throw failure.signal.reason;
    // What Kafka holds is told to the server a last time, so that the next start has less to skip.
    await streaming.confirm();
  } catch (error) {
    throw failure.signal.aborted ? failure.signal.reason : error;
  } finally {
    for (const close of closing) {
      const closed = close().catch((error: unknown) => log.debug({ event: 'close_failed', err: error }, 'closing'));
      // What is left behind is harmless: the next start fences it.
      await Promise.race([closed, sleep(CLOSE_MS, null, { ref: false })]);
    }
  }
}

/** Starts replication, waiting for as long as another session holds the slot. Nobody is fenced before. */
async function holdSlot(
  options: PipelineOptions,
  ended: AbortSignal,
  handler: Parameters<typeof SlotStream.open>[2],
): Promise<SlotStream> {
  const { config, log } = options;
  let told = false;
  for (;;) {
    ended.throwIfAborted();
    try {
      return await SlotStream.open(config.siirays.url, config.siirays, handler);
    } catch (error) {
      if ((error as { code?: string }).code !== SLOT_IN_USE) throw error;
      if (!told)
        log.info({ event: 'slot_in_use', slot: config.siirays.slot, reason: (error as Error).message }, 'standing by');
      told = true;
      options.onStandby();
      await sleep(SLOT_RETRY_MS);
    }
  }
}

async function serve(runner: SnapshotRunner, requested: ClearableSignal, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    await requested.wait();
    try {
      await runner.drain();
    } catch (error) {
      if (!ended.aborted) throw error;
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
