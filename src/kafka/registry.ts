import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import { Agent, request } from 'undici';
import type { RegistryConfig } from '../config/types.ts';

/** Where a reader finds schemas. */
export interface SchemaSource {
  /**
   * The schema text behind an id, where `matches` says that it is the one; else the subject's newest version that is.
   * @throws where the registry does not hold it, or cannot be reached
   */
  find(subject: string, id: number, matches: (schema: string) => boolean): Promise<string>;
}

/** Where a writer puts them. */
export interface SchemaSink {
  /**
   * Registers a schema under a subject and gives its id: the same one where it is registered already.
   * Evolution is BACKWARD: a schema that cannot read what the last one wrote is refused with an error.
   */
  register(subject: string, schema: string): Promise<number>;
  /**
   * Subjects of this client's registrations that the registry does not hold any more: it was emptied, or restored from a
   * backup. @throws where it cannot be reached
   */
  lost(): Promise<string[]>;
}

/** Requests under way at once. */
const CONNECTIONS = 8;
/** An answer that takes longer is lost: Apicurio has been seen to log one that never came. */
const ANSWER_MS = 10_000;
/** A registration is the same however often it is asked for, so that a lost answer is asked for again. */
const REGISTER_TRIES = 3;

/**
 * A client of a Confluent-compatible registry (Apicurio's /apis/ccompat/v7). Registering goes through
 * @kafkajs/confluent-schema-registry; reading asks for the schema's text itself, since that library drops the properties
 * that carry the PostgreSQL types.
 */
export function createRegistry(
  config: RegistryConfig,
  { answerMs = ANSWER_MS }: { answerMs?: number } = {},
): SchemaSource & SchemaSink & { close(): Promise<void> } {
  const auth =
    config.username === undefined ? undefined : { username: config.username, password: config.password ?? '' };
  const ca = config.caFile === undefined ? undefined : readFileSync(config.caFile, 'utf8');
  const LibraryAgent = config.url.startsWith('https:') ? HttpsAgent : HttpAgent;
  const libraryAgent = new LibraryAgent({ keepAlive: true, maxSockets: CONNECTIONS, ...(ca ? { ca } : {}) });
  const library = new SchemaRegistry({
    host: config.url,
    retry: { retries: 2 },
    agent: libraryAgent,
    // Left alone, the library waits for ever.
    middlewares: [
      () => ({ prepareRequest: (next) => next().then((prepared) => prepared.enhance({ timeout: answerMs })) }),
    ],
    ...(auth ? { auth } : {}),
  });
  const agent = new Agent({
    connections: CONNECTIONS,
    headersTimeout: answerMs,
    bodyTimeout: answerMs,
    ...(ca ? { connect: { ca } } : {}),
  });
  const headers: Record<string, string> = { accept: 'application/json' };
  if (auth) headers.authorization = `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;

  /** Schema text, or null on 404. */
  async function get(path: string): Promise<unknown> {
    const response = await request(`${config.url}${path}`, { dispatcher: agent, headers });
    if (response.statusCode === 404) {
      await response.body.dump();
      return null;
    }
    if (response.statusCode !== 200) {
      throw new Error(
        `the schema registry answered ${response.statusCode} to GET ${path}: ${await response.body.text()}`,
      );
    }
    return response.body.json();
  }

  /** What the library does right after it has registered a subject's first schema, if nothing ends it in between. */
  async function setCompatibility(subject: string): Promise<void> {
    const path = `/config/${encodeURIComponent(subject)}`;
    const response = await request(`${config.url}${path}`, {
      ...{ method: 'PUT', dispatcher: agent, headers: { ...headers, 'content-type': 'application/json' } },
      body: JSON.stringify({ compatibility: 'BACKWARD' }),
    });
    const text = await response.body.text();
    if (response.statusCode !== 200) {
      throw new Error(`the schema registry answered ${response.statusCode} to PUT ${path}: ${text}`);
    }
  }

  /** The last id of each subject that was registered here. */
  const registered = new Map<string, number>();

  return {
    async find(subject, id, matches) {
      const byId = (await get(`/schemas/ids/${id}`)) as { schema: string } | null;
      if (byId && isEnvelope(byId.schema) && matches(byId.schema)) return byId.schema;
      const path = `/subjects/${encodeURIComponent(subject)}/versions`;
      const versions = ((await get(path)) as number[] | null) ?? [];
      for (const version of versions.reverse()) {
        const found = (await get(`${path}/${version}`)) as { schema: string } | null;
        if (found && isEnvelope(found.schema) && matches(found.schema)) return found.schema;
      }
      throw new Error(
        `the schema registry does not hold schema ${id} of ${subject}: was it emptied? A producer that runs notices that and registers it again`,
      );
    },
    async register(subject, schema) {
      const avro = { type: 'AVRO', schema } as unknown as Parameters<SchemaRegistry['register']>[0];
      for (let tries = 1; ; tries++) {
        try {
          const { id } = await library.register(avro, { subject });
          registered.set(subject, id);
          return id;
        } catch (error) {
          if (tries === REGISTER_TRIES) throw error;
          if (isUnset(error)) await setCompatibility(subject);
          else if (!isTimeout(error)) throw error;
        }
      }
    },
    async lost() {
      if (registered.size === 0) return [];
      const subjects = new Set((await get('/subjects')) as string[]);
      const gone = [...registered.keys()].filter((subject) => !subjects.has(subject));
      if (gone.length > 0) return gone;
      // A backup has the subjects and lacks what was registered last.
      const [subject, id] = [...registered].reduce((newest, entry) => (entry[1] > newest[1] ? entry : newest));
      return (await get(`/schemas/ids/${id}`)) === null ? [subject] : [];
    },
    async close() {
      libraryAgent.destroy();
      await agent.close();
    },
  };
}

/** A subject was registered, and its registrar was killed, or lost an answer, before it could set how it may evolve. */
function isUnset(error: unknown): boolean {
  return (
    error instanceof Error &&
    error.name === 'ConfluentSchemaRegistryCompatibilityError' &&
    error.message.includes('!= NONE')
  );
}

/** The library has no name for it. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && /\bTimeout \(\d+ms\)/.test(error.message);
}

/** Another schema may stand under an id after the registry was lost. */
function isEnvelope(schema: string): boolean {
  return schema.includes('"fingerprint"');
}
