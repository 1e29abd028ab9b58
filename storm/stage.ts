import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../embedded/free-port.ts';
import { loadSample } from '../embedded/siirays/sample.ts';
import type { Ports, ProcessName } from '../embedded/stack/names.ts';
import { nodePart } from '../embedded/stack/node-part.ts';
import { pipelineEnvironment } from '../embedded/stack/pipeline-environment.ts';
import { choosePorts } from '../embedded/stack/ports.ts';
import { keepSecrets } from '../embedded/stack/secrets.ts';
import { startStack } from '../embedded/stack.ts';
import { ROOT } from '../embedded/tools.ts';
import { whenAborted } from '../embedded/when-aborted.ts';
import type { Arena } from './faults/arena.ts';
import { Clocks } from './faults/clocks.ts';
import { LINKS, type LinkName, PARTS, type StormPart } from './plan.ts';
import { EndTxnHold } from './proxy/end-txn-hold.ts';
import { FastaapsProxy, type Refused } from './proxy/fastaaps-proxy.ts';
import { Link } from './proxy/link.ts';

export interface StageOptions {
  dir: string;
  epsas: number;
  signal?: AbortSignal;
  onRefused(refused: Refused): void;
}

export interface Stage extends Arena {
  /** Waits until every part that changes pass is ready again. */
  heal(): Promise<void>;
  close(): Promise<void>;
}

/** FASTAAPS may be silent for so long: then it is asked again. */
const FASTAAPS_TIMEOUT_MS = 3_000;

/** Short time-outs, so that a fault lasts longer than them in little time. */
const SHORT = {
  SIIRAYS_WAL_SENDER_TIMEOUT: '2s',
  KAFKA_TRANSACTION_TIMEOUT: '15s',
  FASTAAPS_TIMEOUT: `${FASTAAPS_TIMEOUT_MS}ms`,
  PROJECT_INTERVAL: '100ms',
  RETRY_MAX: '1s',
  SNAPSHOT_CHUNK_ROWS: '200',
  RECONCILE_SCHEDULE: '* * * * *',
  RECONCILE_SCHEDULE_MODE: 'verify',
};

/** What changes need on their way to FASTAAPS. */
const HEALED = PARTS.filter((name) => name !== 'reconciler');
const HEALED_WITHIN_MS = 60_000;

/** The whole stack with a proxy on each connection between its parts. Its first load has come when this is done. */
export async function openStage({ dir, epsas, signal, onRefused }: StageOptions): Promise<Stage> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const ports = await choosePorts(dir, 'free');
  const secrets = keepSecrets(dir);
  const endTxn = new EndTxnHold();
  const fastaapsPort = await freePort();
  const fastaaps = await FastaapsProxy.open(fastaapsPort, ports.fastaaps, FASTAAPS_TIMEOUT_MS + 1_000, onRefused);
  const links = {} as Record<LinkName, Link>;
  const through: Ports = { ...ports };
  for (const name of LINKS) {
    through[name] = await freePort();
    const target = name === 'fastaaps' ? fastaapsPort : ports[name];
    links[name] = await Link.open(name, through[name], target, name === 'kafka' ? endTxn : undefined);
  }
  const clocks = Clocks.find(dir);
  const settings = (name: ProcessName): Record<string, string> => ({
    ...pipelineEnvironment(name, through, secrets, join(ROOT, 'connectors')),
    ...SHORT,
    ...clocks?.environment,
  });
  const starts = new Map<string, (() => void)[]>();
  const stack = await startStack({
    ...{ dir, epsas, signal, ports: 'free' },
    load: (client, content) => loadSample(client, { ...content, broken: false }),
    settings: { producer: settings('producer'), consumer: settings('consumer'), reconciler: settings('reconciler') },
    kafkaSettings: { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${through.kafka}` },
    onChange: (change) => {
      if (change.event !== 'started') return;
      for (const tell of starts.get(change.name) ?? []) tell();
      starts.delete(change.name);
    },
  });
  const close = async (): Promise<void> => {
    await stack.stop();
    await fastaaps.close();
    for (const link of Object.values(links)) await link.close();
  };
  let seconds = 0;
  try {
    await Promise.race([stack.firstLoad(), whenAborted(signal)]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...{ stack, links, fastaaps, endTxn, clocks, close },
    nextStart: (part: StormPart) => new Promise((resolve) => starts.set(part, [...(starts.get(part) ?? []), resolve])),
    startSecond: (part) => {
      const name = `${part}-2`;
      const env = { ...stack.environment(part), INSTANCE_ID: `${name}-${++seconds}`, HTTP_PORT: '0' };
      return nodePart({
        ...{ name, env, program: ['src/cli.ts', part], logFile: join(dir, 'logs', `${name}.log`) },
      }).start();
    },
    heal: async () => {
      for (const name of HEALED) await stack.part(name).whenReady(HEALED_WITHIN_MS);
    },
  };
}
