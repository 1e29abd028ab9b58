import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killGroup, type Part, type PartChange } from './part.ts';
import { urlsOf } from './postgres-server.ts';
import { writeJson } from './stack/atomic-file.ts';
import { makeDatabases } from './stack/databases.ts';
import type { Endpoints } from './stack/endpoints.ts';
import { type FirstLoad, firstLoad } from './stack/first-load.ts';
import type { PartName, Ports, ProcessName } from './stack/names.ts';
import { partStarters, type StackPlan } from './stack/part-starters.ts';
import {
  FASTAAPS_USERNAME,
  OPERATOR_USERNAME,
  pipelineEnvironment,
  VIEWER_USERNAME,
} from './stack/pipeline-environment.ts';
import { choosePorts } from './stack/ports.ts';
import { ProcessesFile } from './stack/processes-file.ts';
import { keepSecrets, type Secrets } from './stack/secrets.ts';
import { makeSiirays, SIIRAYS_DATABASE, SIIRAYS_OWNER, type SiiraysContent } from './stack/siirays-database.ts';
import { lockState } from './stack/state-lock.ts';
import { ROOT } from './tools.ts';
import { whenAborted } from './when-aborted.ts';

export interface StackOptions extends SiiraysContent {
  /** The state folder. What is in it goes on, unless `fresh` empties it first. */
  dir: string;
  fresh?: boolean;
  /** The usual ports of such programs where they are free, or any free ones. */
  ports: 'usual' | 'free';
  /** Transactions a second of SIIRAyS's users; by default they are away. */
  traffic?: number;
  /** By default the checkout's. */
  connectorsDir?: string;
  /** Parts that are left out; `start()` starts them later. */
  without?: PartName[];
  /** More settings of the pipeline's processes, e.g. `{consumer: {PROJECT_INTERVAL: '0ms'}}`. */
  settings?: Partial<Record<ProcessName, Record<string, string>>>;
  /** More settings of the Kafka broker. */
  kafkaSettings?: Record<string, string>;
  /** FASTAAPS with just what exists today; the connectors' adapter must be `restore`. */
  likeToday?: boolean;
  /** The programs of another PostgreSQL version for SIIRAyS. */
  siiraysBinaries?: string;
  /** Aborted while the stack starts: what runs already is ended, and startStack() rejects. */
  signal?: AbortSignal;
  onChange?: (change: PartChange) => void;
  /** Each log line (pino JSON) of the pipeline's processes. */
  onLog?: (name: ProcessName, line: string) => void;
}

/** What is stopped together: first who writes, last who keeps. Their deadlines add up to less than 8 s. */
const STOP_ORDER: PartName[][] = [
  ['traffic', 'producer', 'consumer', 'reconciler'],
  ['fastaaps', 'pgbouncer', 'registry', 'kafka'],
  ['siirays', 'postgres'],
];

const HOST = '127.0.0.1';
/** How long the end of a killed process is waited for. */
const KILLED_WITHIN_MS = 1_000;

/** The whole pipeline on this machine over real parts. */
export class Stack {
  readonly ports: Ports;
  readonly endpoints: Endpoints;
  /** Rows of the sample that this start put into SIIRAyS; undefined where SIIRAyS was there. */
  sampleRows: number | undefined;
  readonly #options: StackOptions;
  readonly #dir: string;
  readonly #secrets: Secrets;
  readonly #unlock: () => void;
  readonly #processes: ProcessesFile;
  readonly #starters: ReturnType<typeof partStarters>;
  readonly #parts = new Map<PartName, Part>();
  readonly #stopping = new AbortController();

  constructor(options: StackOptions, dir: string, ports: Ports, unlock: () => void) {
    this.ports = ports;
    this.#options = options;
    this.#dir = dir;
    this.#unlock = unlock;
    this.#secrets = keepSecrets(dir);
    this.#processes = new ProcessesFile(dir);
    this.endpoints = endpointsOf(ports, this.#secrets);
    const plan: StackPlan = {
      ...{ dir, ports, secrets: this.#secrets, connectorsDir: this.#connectorsDir },
      ...{ traffic: options.traffic ?? 0, siiraysBinaries: options.siiraysBinaries, onLog: options.onLog },
      ...{ kafkaSettings: options.kafkaSettings, likeToday: options.likeToday },
      environment: (name) => this.environment(name),
      onChange: (change) => {
        this.#processes.note(change);
        options.onChange?.(change);
      },
    };
    this.#starters = partStarters(plan);
  }

  get #connectorsDir(): string {
    return resolve(this.#options.connectorsDir ?? join(ROOT, 'connectors'));
  }

  get #endpointsFile(): string {
    return join(this.#dir, 'endpoints.json');
  }

  /** Starts all parts that are not left out. */
  async begin(): Promise<void> {
    rmSync(this.#endpointsFile, { force: true });
    await settleAll([this.#startAll(['kafka']), this.#startSiirays(), this.#startDatabases()]);
    await this.#startAll(['producer', 'consumer', 'reconciler']);
    if (this.#options.traffic) await this.start('traffic');
  }

  /** The settings of a process of the pipeline; a test may start another one with them. */
  environment(name: ProcessName): Record<string, string> {
    const environment = pipelineEnvironment(name, this.ports, this.#secrets, this.#connectorsDir);
    return { ...environment, ...this.#options.settings?.[name] };
  }

  /** A postgres:// URL of SIIRAyS's superuser, for what its owner may not do (a replication slot, settings). */
  superuserUrl(database: string = SIIRAYS_DATABASE): string {
    return urlsOf(this.ports.siirays, this.#secrets.superuser)(database);
  }

  /** A part that was started. */
  part(name: PartName): Part {
    const part = this.#parts.get(name);
    if (!part) throw new Error(`the part ${name} was not started`);
    return part;
  }

  pid(name: PartName): number | undefined {
    return this.#parts.get(name)?.pid;
  }

  /** Sends a signal to a part's process, as if somebody else had: if it ends by that, it is started again. */
  kill(name: PartName, signal: NodeJS.Signals): void {
    this.part(name).kill(signal);
  }

  /** Starts a part that was left out, or that was stopped by `part(name).stop()`. */
  async start(name: PartName): Promise<void> {
    if (this.#stopping.signal.aborted) throw new Error(`${name} is not started: the stack is being stopped`);
    const known = this.#parts.get(name);
    if (known) await known.start();
    else this.#parts.set(name, await this.#starters[name]());
  }

  /** Waits until FASTAAPS holds the first load, then writes endpoints.json. Undefined if the stack is stopped before. */
  async firstLoad(): Promise<FirstLoad | undefined> {
    const { fastaaps, fastaapsAuth } = this.endpoints;
    const load = await firstLoad(fastaaps, fastaapsAuth, this.#options.likeToday === true, this.#stopping.signal);
    if (load && !this.#stopping.signal.aborted) writeJson(this.#endpointsFile, this.endpoints, 0o600);
    return load;
  }

  /** Ends everything in order, within 8 s. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    rmSync(this.#endpointsFile, { force: true });
    for (const names of STOP_ORDER) {
      await Promise.all(names.map((name) => this.#parts.get(name)?.stop()));
    }
    await this.#endStarting();
    this.#processes.remove();
    this.#unlock();
  }

  /** A part that is still starting is not known yet, only its process is. Its data bear a kill at any moment. */
  async #endStarting(): Promise<void> {
    const known = new Set([...this.#parts.values()].map((part) => part.pid));
    const starting = this.#processes.pids().filter((pid) => !known.has(pid));
    for (const pid of starting) killGroup(pid);
    const deadline = Date.now() + KILLED_WITHIN_MS;
    while (starting.some(isThere) && Date.now() < deadline) await sleep(20);
  }

  async #startAll(names: PartName[]): Promise<void> {
    const wanted = names.filter((name) => !this.#options.without?.includes(name));
    await settleAll(wanted.map((name) => this.start(name)));
  }

  async #startSiirays(): Promise<void> {
    await this.#startAll(['siirays']);
    const url = urlsOf(this.ports.siirays, this.#secrets.superuser);
    this.sampleRows = await makeSiirays(url, this.#secrets, this.#options);
    await this.#startAll(['pgbouncer']);
  }

  async #startDatabases(): Promise<void> {
    await this.#startAll(['postgres']);
    const names = ['sync', 'fastaaps', 'registry'] as const;
    const databases = names.map((name) => ({ name, owner: name, password: this.#secrets[name] }));
    await makeDatabases(urlsOf(this.ports.postgres, this.#secrets.superuser), databases);
    await this.#startAll(['registry', 'fastaaps']);
  }
}

/** Waits for all, also when one fails: what was started meanwhile must be known when the rest is stopped. */
async function settleAll(work: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

/**
 * Starts the whole pipeline on this machine over real parts, each a process of its own, which is started again when it
 * ends by itself and ends with this process. One stack a state folder.
 * @throws StateInUse, PartError
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const dir = resolve(options.dir);
  const unlock = await lockState(dir);
  mkdirSync(dir, { recursive: true });
  if (options.fresh) for (const entry of readdirSync(dir)) rmSync(join(dir, entry), { recursive: true });
  const stack = new Stack(options, dir, await choosePorts(dir, options.ports), unlock);
  try {
    await Promise.race([stack.begin(), whenAborted(options.signal)]);
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return stack;
}

function endpointsOf(ports: Ports, secrets: Secrets): Endpoints {
  const siirays = urlsOf(ports.siirays, secrets.superuser);
  const databases = urlsOf(ports.postgres, secrets.superuser);
  return {
    siirays: siirays(SIIRAYS_DATABASE, SIIRAYS_OWNER, secrets.siirays),
    sync: databases('sync', 'sync', secrets.sync),
    fastaapsDatabase: databases('fastaaps', 'fastaaps', secrets.fastaaps),
    pgbouncer: `${HOST}:${ports.pgbouncer}`,
    kafka: `${HOST}:${ports.kafka}`,
    registry: `http://${HOST}:${ports.registry}`,
    fastaaps: `http://${HOST}:${ports.fastaaps}`,
    fastaapsAuth: `${FASTAAPS_USERNAME}:${secrets.fastaapsHttp}`,
    reconciler: `http://${HOST}:${ports.reconciler}`,
    reconcilerAuth: `${OPERATOR_USERNAME}:${secrets.operator}`,
    reconcilerViewerAuth: `${VIEWER_USERNAME}:${secrets.viewer}`,
  };
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
