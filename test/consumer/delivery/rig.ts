import { after } from 'node:test';
import { type Logger, pino } from 'pino';
import { Registry } from 'prom-client';
import { createDelivery, type Delivery, type DeliveryOptions } from '../../../src/consumer/delivery/delivery.ts';
import { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { all, document, PASSWORD, TARGET, USERNAME } from '../../fastaaps/reference.ts';
import { until } from '../../support/until.ts';
import { type Bookkeeping, SCHEMA } from './bookkeeping.ts';

export interface LogLine {
  event: string;
  [field: string]: unknown;
}

export interface Rig {
  delivery: Delivery;
  client: FastaapsClient;
  log: LogLine[];
  metrics: Registry;
  ready: Map<string, { ok: boolean; reason?: string }>;
  tokensLost: number;
  /** Delivered lines of the log so far. */
  delivered(): LogLine[];
  /** Waits until FASTAAPS acknowledged all that is projected now. */
  settled(): Promise<void>;
  /** The set as FASTAAPS shows it. */
  documents(): Promise<unknown[]>;
  stop(): Promise<void>;
}

/** A delivery on the given bookkeeping to the service at `url`; marks are projected as soon as they are made. */
export function startDelivery(
  bookkeeping: Bookkeeping,
  url: string,
  options: Partial<DeliveryOptions> & { adapter?: 'changes' | 'restore'; password?: string } = {},
): Rig {
  const { adapter = 'changes', password = PASSWORD, ...more } = options;
  const client = new FastaapsClient({ url, username: USERNAME, password, timeoutMs: 10_000 });
  const log: LogLine[] = [];
  const ready: Rig['ready'] = new Map();
  const metrics = new Registry();
  const rig = { tokensLost: 0 };
  const delivery = createDelivery({
    pool: bookkeeping.pool,
    schema: SCHEMA,
    connector: {
      name: 'epsa',
      target: { ...TARGET, adapter },
      root: { schema: 'public', table: 'epsa', idColumn: 'id_epsa', idType: 'integer' },
    },
    client,
    token: '1',
    retry: { minMs: 10, maxMs: 50 },
    restoreIntervalMs: 50,
    log: collectingLogger(log),
    metrics,
    health: { live: () => undefined, ready: (name, ok, reason) => void ready.set(name, { ok, reason }) },
    onMarked: () => void bookkeeping.projectMarks().then(() => delivery.wake()),
    onDeadLetters: () => undefined,
    onTokenLost: () => {
      rig.tokensLost += 1;
    },
    ...more,
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= delivery.stop().then(() => client.close());
    return stopped;
  };
  after(stop);
  return Object.assign(rig, {
    delivery,
    client,
    log,
    ready,
    metrics,
    stop,
    delivered: () => log.filter((line) => line.event === 'changeset_delivered'),
    settled: async () => {
      delivery.wake();
      await until(async () => {
        const [row] = await bookkeeping.query<{ done: boolean }>(
          `SELECT (d.history, d.seq, d.epoch) IS NOT DISTINCT FROM (c.projected_history, c.projected_seq, c.epoch)
             AND NOT EXISTS (SELECT FROM :s.outbox) AND NOT EXISTS (SELECT FROM :s.mark) AS done
           FROM :s.delivery AS d, :s.checkpoint AS c`,
        );
        return row?.done;
      }, 'the delivery of all that is projected');
    },
    documents: async () => {
      const { documents } = await client.getSet(TARGET);
      return (await all(documents)).map((text) => JSON.parse(text) as unknown);
    },
  });
}

function collectingLogger(lines: LogLine[]): Logger {
  return pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) });
}

/** The set that the bookkeeping's documents are. */
export function truthOf(bookkeeping: Bookkeeping): unknown[] {
  return [...bookkeeping.truth.entries()]
    .sort(([left], [right]) => Number(left) - Number(right))
    .map(([, text]) => JSON.parse(text) as unknown);
}

/** `{"1601": document}` for Bookkeeping.commit. */
export function documents(ids: number[], nombre: string): Record<string, string> {
  return Object.fromEntries(ids.map((id) => [String(id), document(id, nombre)]));
}
