import { after } from 'node:test';
import { pino } from 'pino';
import type { Limits } from '../../embedded/fastaaps/app.ts';
import type { CollectionModel } from '../../embedded/fastaaps/model.ts';
import { type Service, startService } from '../../embedded/fastaaps/service.ts';
import { FastaapsClient } from '../../src/fastaaps/client.ts';
import type { Position } from '../../src/fastaaps/types.ts';
import { testDatabase } from '../support/postgres.ts';

export const USERNAME = 'sync';
export const PASSWORD = 'p:ä ss';
export const TOKEN = 'a-token';
export const TARGET = { path: '/registro', tag: 'sync' };

/** A small collection with every kind of value. */
export const MODEL: CollectionModel = {
  path: '/registro',
  idPath: ['informacion_general', 'id_siirays'],
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['informacion_general'],
    properties: {
      informacion_general: {
        type: 'object',
        additionalProperties: false,
        required: ['id_siirays'],
        properties: {
          id_siirays: { type: 'integer' },
          nombre: { type: 'string' },
          monto: { type: ['number', 'string'] },
          anio: { type: 'integer' },
        },
      },
      tuberias: {
        type: 'array',
        items: { type: 'object', required: ['localidad'], properties: { localidad: { type: 'string' } } },
      },
    },
  },
};

export interface ReferenceOptions {
  databaseUrl?: string;
  port?: number;
  password?: string;
  likeToday?: boolean;
  limits?: Partial<Limits>;
  models?: CollectionModel[];
}

/** The real service on a database of its own; ends after the test or suite. */
export async function startReference(options: ReferenceOptions = {}): Promise<Service & { databaseUrl: string }> {
  const databaseUrl = options.databaseUrl ?? (await testDatabase()).url;
  const service = await startService({
    databaseUrl,
    host: '127.0.0.1',
    port: options.port ?? 0,
    credentials: { username: USERNAME, password: options.password ?? PASSWORD, token: TOKEN },
    models: options.models ?? [MODEL],
    log: pino({ level: 'silent' }),
    likeToday: options.likeToday,
    limits: options.limits,
  });
  let closed: Promise<void> | undefined;
  const close = (graceMs?: number): Promise<void> => {
    closed ??= service.close(graceMs);
    return closed;
  };
  after(() => close(0));
  return { url: service.url, databaseUrl, close };
}

/** A client of the service; ends after the test or suite. */
export function clientOf(url: string, password = PASSWORD): FastaapsClient {
  const client = new FastaapsClient({ url, username: USERNAME, password, timeoutMs: 10_000 });
  after(() => client.close());
  return client;
}

/** A plain call with the right credentials. */
export function call(url: string, path: string, init: RequestInit = {}): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64')}`;
  return fetch(url + path, { ...init, headers: { authorization, ...init.headers } });
}

export function header(version: number | string, more: Partial<Position> = {}): Position {
  return { source: 'siirays2019', epoch: 1, version: String(version), history: 1, seq: '7', lsn: '0/16B3748', ...more };
}

export function document(id: number, nombre: string, more = ''): string {
  return `{"informacion_general":{"id_siirays":${id},"nombre":${JSON.stringify(nombre)}${more}}}`;
}

export function upsert(id: number, version: number | string, text = document(id, `epsa ${id}`)): string {
  return `{"op":"upsert","id":${id},"version":"${version}","document":${text}}\n`;
}

export function remove(id: number, version: number | string): string {
  return `{"op":"delete","id":${id},"version":"${version}"}\n`;
}

/** Posts NDJSON as it is. */
export function post(url: string, lines: string[], path = '/registro/changes?db_tag=sync'): Promise<Response> {
  return call(url, path, { method: 'POST', body: lines.join(''), headers: { 'content-type': 'application/x-ndjson' } });
}

export async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

// biome-ignore lint/suspicious/noExplicitAny: answers of any shape, which the tests then look into
export async function json(response: Response): Promise<any> {
  return response.json();
}
