import { once } from 'node:events';
import type { Request, Response } from 'express';
import { z } from 'zod';
import { IdempotencyConflict, NotResumable } from '../../runs/run-errors.ts';
import { ENDED, type Run, RunConflict } from '../../types.ts';
import { note } from '../audited.ts';
import type { EventStream } from '../event-streams.ts';
import { drainSignal, goneSignal } from '../gone.ts';
import { type ApiContext, json, type Operation, operation, problemOf } from '../operation.ts';
import { Polled } from '../polled.ts';
import { invalid, notFound, Problem } from '../problem.ts';
import { BASE, runAnswer, runUrl } from '../run-answer.ts';
import { runOptionsOf } from '../run-request.ts';
import * as schemas from '../schemas.ts';
import type { StartExtra, Started } from '../services.ts';

const PAGE = 100;
/** Differences read at once while all of them are streamed. */
const PORTION = 1_000;
const LOOK_MS = 500;
const NDJSON = 'application/x-ndjson';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const NO_RUN = problemOf('There is no such run', schemas.problem);

/** Asking for reconciliations, and looking at them. */
export function reconciliations(context: ApiContext): Operation[] {
  const { services } = context;
  const watches = new Map<string, Polled<Run | null>>();

  /** One look at a run for all that follow it. */
  const watch = (id: string): Polled<Run | null> => {
    const found = watches.get(id);
    if (found) return found;
    const onError = (error: unknown) =>
      context.log.warn({ event: 'api_run_unread', err: error }, 'a run cannot be read now');
    const made = new Polled(() => services.runs.get(id), LOOK_MS, onError);
    watches.set(id, made);
    return made;
  };

  const runOf = async (id: string): Promise<Run> => {
    const run = UUID.test(id) ? await services.runs.get(id) : null;
    if (run === null) throw notFound('there is no such run');
    return run;
  };

  return [
    operation({
      method: 'post',
      path: '/reconciliations',
      name: 'startReconciliation',
      summary: 'Starts a reconciliation, or goes on with one that was stopped',
      description: 'One at a time per connector. The answer comes at once: the run goes on by itself.',
      headers: { 'Idempotency-Key': 'Asked again with the same key, the same run is answered; 1 to 200 characters' },
      query: schemas.noQuery,
      body: schemas.runRequest,
      answers: {
        202: json('The run has been started', schemas.run, { Location: 'Where the run is found' }),
        200: json('It was started before with this Idempotency-Key', schemas.run, {
          Location: 'Where the run is found',
        }),
        409: problemOf(
          'Another run holds a connector, or the run cannot be resumed',
          z.union([schemas.conflict, schemas.problem]),
        ),
        422: problemOf('The Idempotency-Key was used for something else', schemas.problem),
      },
      async handle({ request, response, body, caller }) {
        const asker = { trigger: 'http', name: caller.name } as const;
        const extra = idempotencyOf(request, caller.name);
        const { run, existing } = await started(() => {
          if (body.resume === undefined) return services.start(runOptionsOf(body, services.connectors), asker, extra);
          return services.resume(resumedId(body), asker, extra);
        });
        if (!existing) {
          const detail = { options: run.options, resumes: run.resumes };
          await note(context, { caller, action: 'reconciliation.start', object: run.id }, detail);
        }
        response
          .status(existing ? 200 : 202)
          .location(runUrl(run.id))
          .json(runAnswer(run));
      },
    }),
    operation({
      method: 'get',
      path: '/reconciliations',
      name: 'listReconciliations',
      summary: 'The runs, newest first',
      query: schemas.runsQuery,
      answers: {
        200: json('A page of runs', schemas.runPage, { Link: 'rel="next": the next page, where there is one' }),
      },
      async handle({ response, query }) {
        const { runs, next } = await services.runs.list({ ...query, limit: query.limit ?? PAGE });
        if (next !== null) response.set('Link', nextLink(query, next));
        response.json({ runs: runs.map(runAnswer), next });
      },
    }),
    operation({
      method: 'get',
      path: '/reconciliations/{id}',
      name: 'getReconciliation',
      summary: 'One run',
      query: schemas.noQuery,
      answers: { 200: json('The run', schemas.run), 404: NO_RUN },
      async handle({ response, params }) {
        response.json(runAnswer(await runOf(params.id!)));
      },
    }),
    operation({
      method: 'delete',
      path: '/reconciliations/{id}',
      name: 'cancelReconciliation',
      summary: 'Cancels a run',
      query: schemas.noQuery,
      answers: {
        202: json('It is asked to end, which takes a moment', schemas.run),
        200: json('It had ended before, or has not begun', schemas.run),
        404: NO_RUN,
      },
      async handle({ response, params, caller }) {
        const before = await runOf(params.id!);
        const run = ENDED.includes(before.state) ? before : await services.runs.cancel(before.id, caller.name);
        if (run === null) throw notFound('there is no such run');
        if (run !== before) await note(context, { caller, action: 'reconciliation.cancel', object: run.id }, {});
        response.status(ENDED.includes(run.state) ? 200 : 202).json(runAnswer(run));
      },
    }),
    operation({
      method: 'get',
      path: '/reconciliations/{id}/differences',
      name: 'listDifferences',
      summary: 'What a run has found, in its order',
      description: `With \`Accept: ${NDJSON}\` all that there are as lines, however many (\`limit\` then counts for nothing).`,
      query: schemas.differencesQuery,
      answers: {
        200: {
          description: 'A page of differences, or all as lines',
          content: { 'application/json': schemas.differencePage, [NDJSON]: schemas.difference },
          headers: { Link: 'rel="next": the next page, where there is one' },
        },
        404: NO_RUN,
        406: problemOf('Neither form is accepted', schemas.problem),
      },
      async handle({ request, response, params, query }) {
        const form = request.accepts(['application/json', NDJSON]);
        if (form === false) throw new Problem(406, `there are application/json and ${NDJSON}`);
        const { id } = await runOf(params.id!);
        if (form === NDJSON) return sendLines(request, response, (after) => page(after, PORTION));
        const { differences, next } = await page(query.after, query.limit ?? PAGE);
        if (next !== null) response.set('Link', nextLink(query, String(next), 'after', `${runUrl(id)}/differences`));
        response.json({ differences, next });

        function page(after: number | undefined, limit: number) {
          return services.runs.differences(id, { kind: query.kind, after, limit });
        }
      },
    }),
    operation({
      method: 'get',
      path: '/reconciliations/{id}/events',
      name: 'followReconciliation',
      summary: 'Follows a run until it has ended (server-sent events)',
      description:
        'Event `progress` with the run whenever it has changed, at last event `end` with the run, id `end`; then the stream ends. ' +
        'A browser that connects again after that (Last-Event-ID: end) is answered 204, which tells it to stop.',
      headers: { 'Last-Event-ID': 'Any other than `end` counts for nothing: a stream begins with the run as it is' },
      query: schemas.noQuery,
      answers: {
        200: { description: 'The events; data is a Run', content: { 'text/event-stream': z.string() } },
        204: { description: 'The end has been told already' },
        404: NO_RUN,
      },
      async handle({ request, response, params }) {
        const { id } = await runOf(params.id!);
        if (request.get('Last-Event-ID') === 'end') {
          response.status(204).end();
          return;
        }
        const watched = watch(id);
        try {
          await context.streams.serve(request, response, (stream) => follow(stream, watched));
        } finally {
          if (!watched.watched) watches.delete(id);
        }
      },
    }),
  ];
}

async function follow(stream: EventStream, watched: Polled<Run | null>): Promise<void> {
  for await (const run of watched.values(stream.signal)) {
    if (run === null) return;
    const answer = runAnswer(run);
    await stream.send('progress', answer);
    if (ENDED.includes(run.state)) return stream.send('end', answer, 'end');
  }
}

/** Keys are a user's own: nobody is answered another's run. */
function idempotencyOf(request: Request, user: string): StartExtra {
  const key = request.get('Idempotency-Key');
  if (key === undefined) return {};
  if (!/^[\x20-\x7e]{1,200}$/.test(key)) {
    throw invalid([{ parameter: 'Idempotency-Key', detail: 'expected 1 to 200 printable ASCII characters' }]);
  }
  return { idempotencyKey: `${user}:${key}` };
}

function resumedId({ resume, ...others }: z.output<typeof schemas.runRequest>): string {
  const extra = Object.keys(others).map((name) => ({ pointer: `/${name}`, detail: 'a resumed run keeps its options' }));
  const known = UUID.test(resume!) ? [] : [{ pointer: '/resume', detail: 'expected the id of a run' }];
  if (extra.length + known.length > 0) throw invalid([...known, ...extra]);
  return resume!;
}

async function started(start: () => Promise<Started>): Promise<Started> {
  try {
    return await start();
  } catch (error) {
    if (error instanceof RunConflict) {
      const running = runUrl(error.running);
      const headers = { Link: `<${running}>; rel="related"` };
      throw new Problem(409, error.message, { kind: 'run-conflict', members: { running }, headers });
    }
    if (error instanceof NotResumable) throw new Problem(409, error.message, { kind: 'not-resumable' });
    if (error instanceof IdempotencyConflict) throw new Problem(422, error.message, { kind: 'idempotency-key' });
    throw error;
  }
}

function nextLink(
  query: Readonly<Record<string, unknown>>,
  next: string,
  name = 'before',
  path = `${BASE}/reconciliations`,
): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries({ ...query, [name]: next })) {
    if (value !== undefined) parameters.set(key, String(value));
  }
  return `<${path}?${parameters}>; rel="next"`;
}

/** Writes every difference as a line, as fast as the reader takes them. */
async function sendLines(
  request: Request,
  response: Response,
  page: (after: number | undefined) => Promise<{ differences: readonly unknown[]; next: number | null }>,
): Promise<void> {
  response.status(200).set('Content-Type', NDJSON);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const gone = goneSignal(response);
  let after: number | undefined;
  do {
    const { differences, next } = await page(after);
    const lines = differences.map((one) => `${JSON.stringify(one)}\n`).join('');
    gone.throwIfAborted();
    if (!response.write(lines)) await once(response, 'drain', { signal: drainSignal(gone) });
    after = next ?? undefined;
  } while (after !== undefined);
  response.end();
}
