import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import type pg from 'pg';
import type { Part } from '../../embedded/part.ts';
import { nodePart } from '../../embedded/stack/node-part.ts';
import { type Stack, type StackOptions, startStack } from '../../embedded/stack.ts';
import { ROOT } from '../../embedded/tools.ts';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { PeakMemory } from './peak-memory.ts';

/** What a case came to. */
export interface SizeResult {
  what: string;
  seconds: number;
  /** Peak resident memory by process, bytes. */
  peaks: Map<string, number>;
}

/** Where a topic's own settings come from (kafkajs's ConfigSource). */
const TOPIC_CONFIG = 1;

/** The processes of ours whose memory counts. */
const OURS = ['producer', 'consumer', 'reconciler'] as const;

/** A stack of its own, whose memory is watched, and the proof that both sides are equal. */
export class SizeRig {
  readonly stack: Stack;
  readonly siirays: pg.Client;
  readonly #memory: PeakMemory;
  readonly #dir: string;
  #reconciling: ChildProcess | undefined;
  #producing: Part | undefined;

  private constructor(stack: Stack, siirays: pg.Client, dir: string) {
    this.stack = stack;
    this.siirays = siirays;
    this.#dir = dir;
    this.#memory = new PeakMemory(() => [
      ...OURS.map((name): [string, number | undefined] => [name, stack.pid(name)]),
      ['reconcile', this.#reconciling?.pid],
      ['producer', this.#producing?.pid],
    ]);
  }

  static async start(options: Partial<StackOptions> = {}): Promise<SizeRig> {
    const dir = mkdtempSync(join(tmpdir(), 'siirays-sync-size-'));
    const remove = (): void => rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    const stack = await startStack({ dir, ports: 'free', epsas: 120, ...options }).catch((error: unknown) => {
      remove();
      throw error;
    });
    try {
      if (!options.without?.includes('consumer')) await stack.firstLoad();
      const siirays = await connect({ connectionString: stack.endpoints.siirays });
      return new SizeRig(stack, siirays, dir);
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  get peaks(): Map<string, number> {
    return this.#memory.peaks;
  }

  async end(): Promise<void> {
    this.#memory.stop();
    await disconnect(this.siirays);
    await this.#producing?.stop();
    await this.stack.stop();
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  /** Waits until FASTAAPS shows all that is committed: a mark that is made for it, behind the LSN of now. */
  async shown(): Promise<void> {
    const { rows } = await this.siirays.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    const lsn = parseLsn(rows[0]!.lsn);
    await this.siirays.query(
      `UPDATE epsa SET web = 'http://marca/' || txid_current() WHERE id_epsa = (SELECT min(id_epsa) FROM epsa)`,
    );
    const { fastaaps, fastaapsAuth } = this.stack.endpoints;
    const headers = { authorization: `Basic ${Buffer.from(fastaapsAuth).toString('base64')}` };
    for (;;) {
      const answer = await fetch(`${fastaaps}/registro/position?db_tag=sync`, { headers }).catch(() => null);
      const position = answer?.ok ? ((await answer.json()) as { lsn: string | null }) : null;
      if (position?.lsn && parseLsn(position.lsn) > lsn) return;
      await sleep(50);
    }
  }

  /** Raises what the topics take in one message. */
  async raiseTopicLimits(bytes: number): Promise<void> {
    const kafka = new kafkajs.Kafka({ brokers: [this.stack.endpoints.kafka], logLevel: kafkajs.logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    try {
      const names = (await admin.listTopics()).filter((topic) => topic.startsWith('siirays.'));
      const type = kafkajs.ConfigResourceTypes.TOPIC;
      const described = await admin.describeConfigs({
        includeSynonyms: false,
        resources: names.map((name) => ({ type, name })),
      });
      // What is not named is set back to the broker's own (KIP-339 came for that): all that the topic has goes along.
      const resources = described.resources.map(({ resourceName, configEntries }) => {
        const own = configEntries.filter(({ configSource }) => configSource === TOPIC_CONFIG);
        const kept = own.map(({ configName, configValue }) => ({ name: configName, value: configValue }));
        const raised = { name: 'max.message.bytes', value: String(bytes) };
        const configEntriesNow = [...kept.filter(({ name }) => name !== raised.name), raised];
        return { type, name: resourceName, configEntries: configEntriesNow };
      });
      await admin.alterConfigs({ validateOnly: false, resources });
    } finally {
      await admin.disconnect();
    }
  }

  /** Starts a producer with other settings, in place of the stack's own. */
  async startProducer(settings: Record<string, string>): Promise<void> {
    this.#producing = await nodePart({
      name: 'producer',
      program: ['src/cli.ts', 'producer'],
      env: { ...this.stack.environment('producer'), ...settings },
      logFile: join(this.#dir, 'logs', 'producer-other.log'),
    }).start();
  }

  /** Compares all rows and documents by a run of the reconciler. @throws where anything but dead letters differs */
  async assertEqual(): Promise<void> {
    const command = ['src/cli.ts', 'reconcile', '--mode', 'verify', '--wait', '--json'];
    const args = ['--disable-warning=TimeoutNegativeWarning', ...command];
    const env = { PATH: process.env.PATH, ...this.stack.environment('reconciler') };
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#reconciling = child;
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const { promise: closed, resolve } = Promise.withResolvers<number | null>();
    child.once('close', resolve);
    const code = await closed;
    this.#reconciling = undefined;
    const { run } = JSON.parse(text) as { run: { state: string; found: Record<string, number> } };
    const { dead_letter: _refused, ...found } = run.found;
    if (!['equal', 'differences'].includes(run.state) || Object.keys(found).length > 0) {
      throw new Error(`SIIRAyS and FASTAAPS are not equal (exit code ${code}): ${text.slice(0, 2_000)}`);
    }
  }
}

/** What is large, and the stack that it needs. */
export interface SizeCase {
  options: Partial<StackOptions>;
  /** Does it, proves that both sides are equal, and says what was done. */
  run(rig: SizeRig): Promise<string>;
}

/** Runs a case on a rig of its own, and gives how long it took and what memory it needed. */
export async function measured({ options, run }: SizeCase): Promise<SizeResult> {
  const rig = await SizeRig.start(options);
  try {
    const started = performance.now();
    const what = await run(rig);
    return { what, seconds: (performance.now() - started) / 1000, peaks: rig.peaks };
  } finally {
    await rig.end();
  }
}
