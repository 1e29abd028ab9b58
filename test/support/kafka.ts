import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import { Client } from 'pg';
import { startApicurio } from '../../embedded/apicurio.ts';
import { freePort } from '../../embedded/free-port.ts';
import { type KafkaBroker, startKafka } from '../../embedded/kafka-broker.ts';
import { startTestPostgres } from './postgres.ts';
import { tempDir } from './temp-dir.ts';

/** Where the test runner tells its tests of the Kafka broker (host:port) and of the registry (URL) that they share. */
export const SHARED_KAFKA = 'TEST_KAFKA_BROKER';
export const SHARED_REGISTRY = 'TEST_REGISTRY_URL';

export interface TestBroker {
  /** host:port. */
  address: string;
  /** Random, one for each call: the prefix of the test's topics, and of its transactional ids and groups. */
  topicPrefix: string;
  /** The broker, where it is the test's own and may be killed. */
  broker?: KafkaBroker;
  /** Deletes the topics with the prefix (and ends the test's own broker); runs by itself after the test or suite. */
  close(): Promise<void>;
}

export interface TestRegistry {
  /** The root of Confluent's API. */
  url: string;
  close(): Promise<void>;
}

interface Shared<T> {
  value: T;
  stop(): Promise<void>;
}

/** One server of this process for all who ask while somebody uses it. */
function sharedByProcess<T>(start: () => Promise<Shared<T>>): () => Promise<Shared<T>> {
  let running: Promise<Shared<T>> | undefined;
  let users = 0;
  return async () => {
    users++;
    running ??= start();
    const { value, stop } = await running;
    const release = async (): Promise<void> => {
      if (--users > 0) return;
      running = undefined;
      await stop();
    };
    return { value, stop: release };
  };
}

export async function startBroker(settings?: Record<string, string>): Promise<Shared<KafkaBroker>> {
  const dir = tempDir('kafka');
  const ports = { port: await freePort(), controllerPort: await freePort() };
  const broker = await startKafka({ name: 'kafka', dir: dir.path, ...ports, settings });
  const stop = async (): Promise<void> => {
    await broker.part.stop('SIGKILL');
    dir.remove();
  };
  return { value: broker, stop };
}

export async function startRegistry(): Promise<Shared<string>> {
  const dir = tempDir('registry');
  const postgres = await startTestPostgres(join(dir.path, 'postgres'));
  const client = new Client({ connectionString: postgres.url() });
  await client.connect();
  await client.query('CREATE DATABASE registry');
  await client.end();
  const password = decodeURIComponent(new URL(postgres.url()).password);
  const database = { host: postgres.host, port: postgres.port, name: 'registry', username: 'postgres', password };
  const ports = { port: await freePort(), managementPort: await freePort() };
  const registry = await startApicurio({ name: 'registry', logFile: join(dir.path, 'log'), ...ports, database });
  const stop = async (): Promise<void> => {
    await registry.part.stop('SIGKILL');
    await postgres.stop('immediate');
    dir.remove();
  };
  return { value: registry.url, stop };
}

const processBroker = sharedByProcess(startBroker);
const processRegistry = sharedByProcess(startRegistry);

/**
 * A real Kafka broker with a topic prefix of the test's own: the runner's shared broker where there is one, else one
 * that is started for this process. `own` asks for a broker that the test may kill, `settings` for one with other settings.
 */
export async function testBroker(
  options: { own?: boolean; settings?: Record<string, string> } = {},
): Promise<TestBroker> {
  const topicPrefix = `test${randomBytes(5).toString('hex')}`;
  const own = options.own === true || options.settings !== undefined;
  const given = own ? undefined : process.env[SHARED_KAFKA];
  const server = given ? undefined : await (own ? startBroker(options.settings) : processBroker());
  const address = given ?? server!.value.address;
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= given ? deleteTopics(address, topicPrefix) : server!.stop();
    return closed;
  };
  after(close);
  return { address, topicPrefix, broker: own ? server!.value : undefined, close };
}

/** A real Apicurio Registry: the runner's shared one where there is one, else one that is started for this process. */
export async function testRegistry(): Promise<TestRegistry> {
  const given = process.env[SHARED_REGISTRY];
  const server = given ? { value: given, stop: async () => undefined } : await processRegistry();
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= server.stop();
    return closed;
  };
  after(close);
  return { url: server.value, close };
}

async function deleteTopics(address: string, prefix: string): Promise<void> {
  const admin = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
  if (topics.length > 0) await admin.deleteTopics({ topics });
  await admin.disconnect();
}
