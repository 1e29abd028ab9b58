import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import type { ProducerConfig } from '../config/types.ts';
import { ensureTopics } from '../kafka/admin.ts';
import { createRegistry } from '../kafka/registry.ts';
import { lastRecord } from '../kafka/single-reader.ts';
import { topicsFor } from '../kafka/topics.ts';
import { TRANSACTION_KEY_SCHEMA, TRANSACTION_SCHEMA } from '../kafka/transaction-record.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { disconnect } from '../postgres/session.ts';
import { Accepting } from './accepting.ts';
import { ChangeStream } from './change-stream.ts';
import { ChunkReader, currentSnapshot } from './chunk-reader.ts';
import { ClearableSignal } from './clearable-signal.ts';
import { Outgoing } from './outgoing.ts';
import { brokenHistory, decodePosition, newHistory, type Position } from './position.ts';
import type { ProducerMetrics } from './producer-metrics.ts';
import { nextXid, PublicationStart } from './publication-start.ts';
import { SlotStream } from './slot-stream.ts';
import { SnapshotRunner } from './snapshot-runner.ts';
import { connectSource, ensureSlot, identifySource, slotPosition } from './source-session.ts';
import { StreamFeed } from './stream-feed.ts';
import { TableEncoders } from './table-encoders.ts';
import { TransactionWriter } from './transaction-writer.ts';

export interface PipelineOptions {
  config: ProducerConfig;
  kafka: Kafka;
  log: Logger;
  metrics: ProducerMetrics;
  version: string;
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
/** While idle, the position moves on over foreign WAL this often, or after this much of it. */
const IDLE_POSITION_MS = 2_000;
const IDLE_POSITION_BYTES = 16n * 1024n * 1024n;
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
    const encoders = new TableEncoders({
      registry,
      topics,
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

    // What the socket brings before the position is read waits here, in order.
    let feed: StreamFeed | null = null;
    let slot: SlotStream | null = null;
    let confirmed: Lsn = 0n;
    const early: { lsn: string; message: Buffer | null }[] = [];
    slot = await holdSlot(options, ended, {
      onMessage: (lsn, message) => {
        if (feed) feed.onMessage(lsn, message);
        else early.push({ lsn, message: Buffer.from(message) });
      },
      onKeepalive: (lsn, replyRequested) => {
        if (feed) feed.onKeepalive(lsn);
        else early.push({ lsn, message: null });
        if (replyRequested) slot?.confirm(confirmed).catch(fail);
      },
      onError: fail,
    });
    slot.pause();
    const held = slot;
    closing.unshift(() => held.close());
    // From here on the server must hear of us: fencing and reading the position may take longer than it waits. It is told
    // what it knows already, since less would turn the slot back.
    confirmed = await slotPosition(catalogue, config.siirays.slot);
    const confirming = setInterval(() => held.confirm(confirmed).catch(fail), CONFIRM_MS);
    closing.unshift(async () => clearInterval(confirming));

    await writer.fence();
    const position = await startPosition(options, catalogue, topics.position);
    log.info(
      {
        event: 'stream_started',
        history: position.history,
        seq: String(position.seq),
        lsn: formatLsn(position.end_lsn),
      },
      'the stream goes on from here',
    );

    const publicationStart = new PublicationStart(position.published);
    publicationStart.note(
      published.map((table) => table.oid),
      readable,
    );
    const stream = new ChangeStream({
      outgoing,
      topics,
      position,
      publicationStart,
      transactionIds,
      known: (relation) => encoders.known(relation),
      now: Date.now,
    });
    const room = new ClearableSignal();
    // Twice: what is being sent, and what is being filled meanwhile. So a piece can always be taken when it is full.
    const full = (): boolean => outgoing.bytes >= 2 * config.writer.batchBytes;
    feed = new StreamFeed({
      stream,
      resolve: (relation) => encoders.resolve(catalogue, relation),
      pause: () => held.pause(),
      resume: () => held.resume(),
      isFull: full,
      onHandled: () => writer.wake(),
      onError: fail,
    });
    const liveFeed = feed;
    const reader = new ChunkReader({
      url: config.siirays.readUrl,
      publication: config.siirays.publication,
      publicationStart,
      lockTimeoutMs: config.snapshot.lockTimeoutMs,
      chunkRows: config.snapshot.chunkRows,
      chunkBytes: config.snapshot.chunkBytes,
    });
    closing.push(() => reader.close());
    const requested = new ClearableSignal();
    const accepting = new Accepting({
      stream,
      log,
      between: (when, act) => liveFeed.between(when, act),
      limit: config.kafka.maxMessageBytes / 2,
      onAccepted: () => requested.set(),
      onError: fail,
    });
    const runner = new SnapshotRunner({
      stream,
      reader,
      encoders,
      log,
      between: (when, publish) => liveFeed.between(when, publish),
      room: async () => {
        while (full()) {
          ended.throwIfAborted();
          await room.wait();
        }
      },
      onServed: () => accepting.accept(),
      logLimit: config.snapshot.chunkBytes * 4,
      signal: ended,
    });

    let committed = position;
    const writing = writer.run(
      () => {
        room.set();
        liveFeed.roomAgain();
      },
      (at, figures) => {
        committed = at;
        confirmed = at.end_lsn;
        metrics.committed(at, figures);
        if (at.last) metrics.delay(Date.now() - at.last.commit_ts);
      },
    );
    writing.catch(fail);
    closing.unshift(async () => {
      writer.stop();
      await writing.catch(() => undefined);
    });

    const serving = serve(runner, requested, ended);
    serving.catch(fail);
    closing.unshift(async () => {
      requested.set();
      room.set();
      liveFeed.end(new Error('the producer stops'));
      // What is being read is given up.
      await reader.close();
      await serving.catch(() => undefined);
    });

    // A new history is told at once: who reads it has to know before the first change.
    if (position.seq === 0n && position.last === null) stream.update({}, true);
    confirmed = position.end_lsn;
    for (const { lsn, message } of early.splice(0)) {
      if (message) feed.onMessage(lsn, message);
      else feed.onKeepalive(lsn);
    }
    writer.wake();
    liveFeed.roomAgain();
    closing.unshift(() => accepting.stop());
    await accepting.follow(kafka, topics.signal);
    requested.set();
    options.onReady();

    let idleSince = performance.now();
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
      const idle = writer.isIdle && liveFeed.isCaughtUp && !stream.inTransaction;
      const ahead = stream.passed - committed.end_lsn;
      if (!idle || ahead <= 0n) {
        if (!idle) idleSince = performance.now();
        return;
      }
      if (ahead >= IDLE_POSITION_BYTES || performance.now() - idleSince >= IDLE_POSITION_MS) {
        idleSince = performance.now();
        stream.advance();
        writer.wake();
      }
    }, CONFIRM_MS);
    closing.unshift(async () => clearInterval(timer));

    await aborted(ended);
    if (failure.signal.aborted) throw failure.signal.reason;
    // What Kafka holds is told to the server a last time, so that the next start has less to skip.
    await held.confirm(confirmed);
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

/** The position in Kafka, or the first one of a new history where the stream cannot go on from there. */
async function startPosition(
  { config, kafka, log }: PipelineOptions,
  catalogue: Parameters<typeof identifySource>[1],
  topic: string,
): Promise<Position> {
  const record = await lastRecord(kafka, topic, POSITION_READ_MS);
  const previous = record?.value ? decodePosition(record.value.toString('utf8')) : null;
  const source = await identifySource(config.siirays.url, catalogue, config.siirays.slot, config.siirays.publication);
  if (!previous) return newHistory(source, null);
  const broken = brokenHistory(previous, source);
  if (broken === null) return { ...previous, timeline: source.timeline };
  log.error({ event: 'history_broken', reason: broken, history: previous.history }, 'a new history begins');
  return newHistory(source, previous);
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
