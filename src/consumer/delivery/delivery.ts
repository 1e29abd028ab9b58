import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { RetryConfig } from '../../config/types.ts';
import type { CompiledConnector } from '../../connector/compiled.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { FastaapsError } from '../../fastaaps/errors.ts';
import type { Logger } from '../../logging/logger.ts';
import type { Health } from '../../observability/health.ts';
import { type Backoff, createBackoff } from '../../retry/backoff.ts';
import { TokenLost } from '../broken-history.ts';
import { ChangesDelivery } from './changes-delivery.ts';
import { type DeliveryMetrics, deliveryMetrics } from './metrics.ts';
import { RestoreDelivery } from './restore-delivery.ts';
import { SqlDeliveryStore } from './sql-delivery-store.ts';

export interface DeliveryOptions {
  /** The sync database, at least three connections for the delivery. */
  pool: pg.Pool;
  /** The connector's bookkeeping schema (unquoted), e.g. epsa_sync. */
  schema: string;
  connector: Pick<CompiledConnector, 'name' | 'target' | 'root'>;
  client: FastaapsClient;
  /** The token under which this process works. */
  token: string;
  retry: RetryConfig;
  /** The adapter `restore` sends the whole set at most this often. */
  restoreIntervalMs: number;
  /** Names SIIRAyS in the changesets: its database. */
  source?: string;
  log: Logger;
  metrics: Registry;
  health: Health;
  /** Documents were marked: project them soon, even if nothing comes from Kafka. */
  onMarked(): void;
  /** Dead letters were written: they wait for their topic with published = false. */
  onDeadLetters(): void;
  /** Another process has taken over. The delivery has stopped by itself. */
  onTokenLost(error: TokenLost): void;
}

export interface Delivery {
  /** An apply transaction that projected has committed. */
  wake(): void;
  /** Stops soon: a changeset under way is given up, which is safe. */
  stop(): Promise<void>;
}

/** What a round of the delivery came to. */
export type Round =
  /** Something was delivered or learnt: look again at once. */
  | { kind: 'again' }
  /** Nothing to do before the next wake. */
  | { kind: 'idle' }
  /** Not before so many milliseconds, or the next wake. */
  | { kind: 'later'; ms: number };

/** What the adapters work with. */
export interface DeliveryContext extends DeliveryOptions {
  source: string;
  signal: AbortSignal;
  counters: DeliveryMetrics;
}

/** One way of bringing documents to FASTAAPS. */
export interface DeliveryAdapter {
  /** Delivers what is pending, once. @throws FastaapsError, TokenLost, errors of PostgreSQL */
  round(): Promise<Round>;
}

/** SIIRAyS's database, whose name stands in every changeset (shared contract of the access service). */
const SOURCE = 'siirays2019';
/** Looks for itself so often, should a wake be missing: after marks of others, or once a delay is over. */
const IDLE_MS = 1_000;

/** Starts delivering in the background: whatever is pending goes, for ever, whatever fails meanwhile. */
export function createDelivery(options: DeliveryOptions): Delivery {
  const stopping = new AbortController();
  const context: DeliveryContext = {
    ...options,
    source: options.source ?? SOURCE,
    signal: stopping.signal,
    counters: deliveryMetrics(options.metrics),
  };
  const adapter =
    options.connector.target.adapter === 'restore'
      ? new RestoreDelivery(context)
      : new ChangesDelivery(context, new SqlDeliveryStore(context));
  const loop = new DeliveryLoop(context, adapter);
  const running = loop.run();
  return {
    wake: () => loop.wake(),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

class DeliveryLoop {
  private readonly context: DeliveryContext;
  private readonly adapter: DeliveryAdapter;
  private readonly backoff: Backoff;
  private woken = Promise.withResolvers<void>();

  constructor(context: DeliveryContext, adapter: DeliveryAdapter) {
    this.context = context;
    this.adapter = adapter;
    this.backoff = createBackoff(context.retry);
  }

  wake(): void {
    this.woken.resolve();
  }

  async run(): Promise<void> {
    const { signal } = this.context;
    while (!signal.aborted) {
      this.woken = Promise.withResolvers<void>();
      try {
        const round = await this.adapter.round();
        this.context.health.ready('fastaaps', true);
        this.backoff.reset();
        if (round.kind !== 'again') await this.rest(round.kind === 'idle' ? IDLE_MS : round.ms);
      } catch (error) {
        if (signal.aborted || !(await this.recover(error))) return;
      }
    }
  }

  /** Until something new was projected, or the time is over. */
  private async rest(ms: number): Promise<void> {
    const enough = new AbortController();
    const signal = AbortSignal.any([enough.signal, this.context.signal]);
    await Promise.race([this.woken.promise, sleep(ms, undefined, { signal }).catch(() => undefined)]);
    enough.abort();
  }

  /** Does what the error asks for; false where the delivery has to end. */
  private async recover(error: unknown): Promise<boolean> {
    if (error instanceof TokenLost) {
      this.context.log.warn({ event: 'delivery_fenced' }, error.message);
      this.context.onTokenLost(error);
      return false;
    }
    await this.backOff(error);
    return true;
  }

  private async backOff(error: unknown): Promise<void> {
    const { log, health, counters, signal } = this.context;
    const known = error instanceof FastaapsError ? error : undefined;
    const kind = known?.kind ?? 'database';
    const waitMs = this.backoff.next(known?.retryAfterMs);
    const fields = { kind, status: known?.status, setting: known?.setting, waitMs, err: error };
    counters.retries.inc({ kind });
    if (known?.kind === 'configuration') {
      const advice = `${known.message} (see ${known.setting})`;
      health.ready('fastaaps', false, advice);
      log.error({ event: 'delivery_blocked', ...fields }, advice);
    } else {
      log.warn({ event: 'delivery_retry', ...fields }, (error as Error).message);
    }
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
  }
}
