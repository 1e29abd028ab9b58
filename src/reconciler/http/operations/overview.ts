import { z } from 'zod';
import type { AuditEntry } from '../../runs/audit-trail.ts';
import type { EventStream } from '../event-streams.ts';
import { type ApiContext, json, type Operation, operation } from '../operation.ts';
import { Polled } from '../polled.ts';
import { isoTime, runAnswer } from '../run-answer.ts';
import * as schemas from '../schemas.ts';

import { StatusReader } from '../status.ts';

const PAGE = 100;
const LOOK_MS = 1_000;
/** Looked at every second for what has changed. */
const NEWEST_RUNS = 20;
const NEWEST_ENTRIES = 200;

/** How everything stands, what people did, and both as they change. */
export function overview(context: ApiContext): Operation[] {
  const { services, log } = context;
  const onError = (error: unknown) =>
    log.warn({ event: 'api_state_unread', err: error }, 'the state cannot be read now');
  const reader = new StatusReader(services);
  const status = new Polled(() => reader.read(), LOOK_MS, onError);
  const runs = new Polled(
    async () => (await services.runs.list({ limit: NEWEST_RUNS })).runs.map(runAnswer),
    LOOK_MS,
    onError,
  );
  const audit = new Polled(
    async () => (await services.runs.listAudit({ limit: NEWEST_ENTRIES })).entries.map(entryAnswer),
    LOOK_MS,
    onError,
  );

  return [
    operation({
      method: 'get',
      path: '/status',
      name: 'getStatus',
      summary: 'How every connector stands, and what is planned',
      query: schemas.noQuery,
      answers: { 200: json('The status', schemas.status) },
      async handle({ response }) {
        response.json(await reader.read());
      },
    }),
    operation({
      method: 'get',
      path: '/audit',
      name: 'listAudit',
      summary: 'What people did, newest first',
      query: schemas.auditQuery,
      answers: { 200: json('A page of entries', schemas.auditPage) },
      async handle({ response, query: { before, limit = PAGE } }) {
        const { entries, next } = await services.runs.listAudit({ before, limit });
        response.json({ entries: entries.map(entryAnswer), next });
      },
    }),
    operation({
      method: 'get',
      path: '/events',
      name: 'followAll',
      summary: 'Follows everything (server-sent events)',
      description:
        'Event `status` with the Status at first and whenever it has changed, once a second at most; `run` with each of the newest runs ' +
        'at first and whenever it has changed; `audit` with each new entry.',
      headers: { 'Last-Event-ID': 'Counts for nothing: a stream begins with the state as it is' },
      query: schemas.noQuery,
      answers: { 200: { description: 'The events', content: { 'text/event-stream': z.string() } } },
      async handle({ request, response }) {
        await context.streams.serve(request, response, async (stream) => {
          await Promise.all([followStatus(stream), followRuns(stream, runs), followAudit(stream, audit)]);
        });
      },
    }),
  ];

  async function followStatus(stream: EventStream): Promise<void> {
    for await (const value of status.values(stream.signal)) await stream.send('status', value);
  }
}

async function followRuns(stream: EventStream, runs: Polled<Record<string, unknown>[]>): Promise<void> {
  let told = new Map<unknown, string>();
  for await (const newest of runs.values(stream.signal)) {
    const now = new Map<unknown, string>(newest.map((run) => [run.id, JSON.stringify(run)]));
    for (const run of newest.toReversed()) {
      if (told.get(run.id) !== now.get(run.id)) await stream.send('run', run);
    }
    told = now;
  }
}

async function followAudit(stream: EventStream, audit: Polled<Record<string, unknown>[]>): Promise<void> {
  let told: Set<unknown> | null = null;
  for await (const newest of audit.values(stream.signal)) {
    if (told !== null) {
      for (const entry of newest.toReversed()) if (!told.has(entry.id)) await stream.send('audit', entry);
    }
    told = new Set(newest.map(({ id }) => id));
  }
}

function entryAnswer({ at, ...entry }: AuditEntry): Record<string, unknown> {
  return { ...entry, at: isoTime(at) };
}
