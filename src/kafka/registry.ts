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
   * Evolution is BACKWARD. A schema that cannot read what the last one wrote, as after a change of a column's type, is a
   * new version all the same, since SIIRAyS will not be stopped by us; `onIncompatible` hears of it.
   */
  register(subject: string, schema: string, onIncompatible?: () => void): Promise<number>;
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
  async function setCompatibility(subject: string, compatibility: 'BACKWARD' | 'NONE' = 'BACKWARD'): Promise<void> {
    await send('PUT', `/config/${encodeURIComponent(subject)}`, { compatibility });
  }

  async function send(method: 'PUT' | 'POST', path: string, body: object): Promise<unknown> {
    const response = await request(`${config.url}${path}`, {
      ...{ method, dispatcher: agent, headers: { ...headers, 'content-type': 'application/json' } },
      body: JSON.stringify(body),
    });
    const text = await response.body.text();
    if (response.statusCode !== 200) {
      throw new Error(`the schema registry answered ${response.statusCode} to ${method} ${path}: ${text}`);
    }
    return JSON.parse(text);
  }

  /** Whoever is ended in between leaves NONE behind, which the next registration sets right: see `isUnset`. */
  async function registerIncompatible(subject: string, schema: string): Promise<number> {
    await setCompatibility(subject, 'NONE');
    const { id } = (await send('POST', `/subjects/${encodeURIComponent(subject)}/versions`, { schema })) as {
      id: number;
    };
    await setCompatibility(subject);
    return id;
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
    async register(subject, schema, onIncompatible) {
      const avro = { type: 'AVRO', schema } as unknown as Parameters<SchemaRegistry['register']>[0];
      for (let tries = 1; ; tries++) {
        try {
          const { id } = await library.register(avro, { subject });
          registered.set(subject, id);
          return id;
        } catch (error) {
          if (isIncompatible(error)) {
            const id = await registerIncompatible(subject, schema);
            registered.set(subject, id);
            onIncompatible?.();
            return id;
          }
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

/** What a registry answers to a schema that breaks its subject's rule (Confluent's API, "POST /subjects/…/versions"). */
function isIncompatible(error: unknown): boolean {
  return error instanceof Error && (error as { status?: number }).status === 409;
}

/** The library has no name for it. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && /\bTimeout \(\d+ms\)/.test(error.message);
}

/** Another schema may stand under an id after the registry was lost. */
function isEnvelope(schema: string): boolean {
  return schema.includes('"fingerprint"');
}
