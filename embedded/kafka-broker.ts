import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { guarded } from './guarded-command.ts';
import { KAFKA_LOGGING, kafkaSettings } from './kafka-settings.ts';
import { Part, type PartOptions } from './part.ts';
import { findTools } from './tools.ts';

export interface KafkaOptions {
  name: string;
  /** Holds the data folder (`data`) and settings; made when missing. */
  dir: string;
  logFile?: string;
  port: number;
  controllerPort: number;
  /** More settings of server.properties. */
  settings?: Record<string, string>;
  /** Options of the Java machine, in place of those for a quick start. */
  jvm?: string[];
  onChange?: PartOptions['onChange'];
}

export interface KafkaBroker {
  readonly name: string;
  /** host:port for clients. */
  readonly address: string;
  readonly port: number;
  readonly part: Part;
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

// One compiler, one collector thread: a quick start matters more here than the last third of throughput.
const SMALL_JVM = ['-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** Starts a Kafka broker (KRaft, one node), formatting its storage the first time. */
export async function startKafka(options: KafkaOptions): Promise<KafkaBroker> {
  const { name, dir, port, controllerPort } = options;
  const { java, kafka } = findTools();
  const dataDir = join(dir, 'data');
  const settingsFile = join(dir, 'server.properties');
  const loggingFile = join(dir, 'log4j2.properties');
  const jvm = [...(options.jvm ?? SMALL_JVM), `-Dlog4j2.configurationFile=${loggingFile}`, '-cp', `${kafka}/*`];
  const address = `127.0.0.1:${port}`;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(loggingFile, KAFKA_LOGGING);
  const writeSettings = (logDir: string): void =>
    writeFileSync(settingsFile, kafkaSettings(port, controllerPort, logDir, options.settings));
  if (!existsSync(dataDir)) await format(java, jvm, dataDir, settingsFile, writeSettings);
  writeSettings(dataDir);
  const part = new Part({
    name,
    command: { file: java, args: [...jvm, 'kafka.Kafka', settingsFile] },
    deathSignal: 'KILL',
    logFile: options.logFile ?? join(dir, 'log'),
    ready: () => answers(address),
    readyWithinMs: 60_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 3000,
    onChange: options.onChange,
  });
  await part.start();
  return {
    ...{ name, address, port, part },
    get pid() {
      return part.pid;
    },
    stop: () => part.stop(),
  };
}

async function format(
  java: string,
  jvm: string[],
  dataDir: string,
  settingsFile: string,
  writeSettings: (logDir: string) => void,
): Promise<void> {
  const unfinished = `${dataDir}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  writeSettings(unfinished);
  const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', newClusterId(), '-c', settingsFile];
  const { file, args } = guarded({ file: java, args: [...jvm, ...format] }, { deathSignal: 'KILL' });
  await promisify(execFile)(file, args);
  renameSync(unfinished, dataDir);
}

/** 16 random bytes as Kafka writes them; a leading dash would be taken for an option. */
function newClusterId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? newClusterId() : id;
}

/** Whether the broker takes part in its cluster: one that has just come back is fenced for a while, and listed nowhere. */
async function answers(address: string): Promise<boolean> {
  const client = new Kafka({
    brokers: [address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1000,
    requestTimeout: 2000,
    retry: { retries: 0 },
  });
  const admin = client.admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > 0;
  } finally {
    await admin.disconnect();
  }
}
