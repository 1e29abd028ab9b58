import assert from 'node:assert/strict';
import type { Endpoints } from '../../embedded/stack/endpoints.ts';
import type { Counts, Difference, RunOptions, RunState } from '../../src/reconciler/types.ts';
import { until } from '../support/until.ts';

/** A run as the API tells it. */
export interface ToldRun {
  id: string;
  state: RunState;
  ended: boolean;
  options: RunOptions;
  progress: { rows: number; documents: number; phase: string };
  found: Counts;
  repaired: Counts;
  left: Counts;
  lsn: string | null;
  notes: string[];
  error: { message: string } | null;
}

export interface ToldDifference extends Difference {
  place: number;
}

/** Uses the reconciler's HTTP API as its operator. */
export class ReconcilerClient {
  readonly #base: string;
  readonly #authorization: string;

  constructor({ reconciler, reconcilerAuth }: Pick<Endpoints, 'reconciler' | 'reconcilerAuth'>) {
    this.#base = `${reconciler}/api/v1`;
    this.#authorization = `Basic ${Buffer.from(reconcilerAuth).toString('base64')}`;
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }> {
    const headers: Record<string, string> = { authorization: this.#authorization };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init: RequestInit = { method, headers };
    if (body !== undefined) init.body = JSON.stringify(body);
    const answer = await fetch(`${this.#base}${path}`, init);
    const text = await answer.text();
    return { status: answer.status, json: text === '' ? null : JSON.parse(text) };
  }

  /** Starts a run; waits while another one is under way. */
  async start(body: Record<string, unknown>): Promise<string> {
    const started = await until(
      async () => {
        const answer = await this.call('POST', '/reconciliations', body);
        if (answer.status === 409) return null;
        assert.equal(answer.status, 202, JSON.stringify(answer.json));
        return answer.json as ToldRun;
      },
      'a run to start',
      120_000,
    );
    return started!.id;
  }

  async run(id: string): Promise<ToldRun> {
    const { status, json } = await this.call('GET', `/reconciliations/${id}`);
    assert.equal(status, 200, JSON.stringify(json));
    return json as ToldRun;
  }

  async untilEnded(id: string, withinMs = 120_000): Promise<ToldRun> {
    let run: ToldRun | null = null;
    await until(
      async () => {
        run = await this.run(id).catch(() => null);
        return run?.ended;
      },
      `the end of run ${id}`,
      withinMs,
    );
    return run!;
  }

  async differences(id: string): Promise<ToldDifference[]> {
    const { json } = await this.call('GET', `/reconciliations/${id}/differences?limit=1000`);
    return (json as { differences: ToldDifference[] }).differences;
  }

  /** Starts a run, waits for its end, and gives it with what it found. */
  async reconcile(body: Record<string, unknown>): Promise<ToldRun & { differences: ToldDifference[] }> {
    const id = await this.start(body);
    const run = await this.untilEnded(id);
    return { ...run, differences: await this.differences(id) };
  }
}
