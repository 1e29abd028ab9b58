import { setTimeout as wait } from 'node:timers/promises';

export interface FirstLoad {
  documents: number;
  /** Of the documents as FASTAAPS answers them. */
  bytes: number;
  /** Since the wait began. */
  ms: number;
}

const POLL_MS = 100;

/**
 * Waits until FASTAAPS holds a changeset of SIIRAyS, which is the first load or something that came after it.
 * @param fastaaps http://host:port
 * @param auth user:password
 * @returns undefined if the signal came first
 */
export async function firstLoad(fastaaps: string, auth: string, signal: AbortSignal): Promise<FirstLoad | undefined> {
  const startedAt = performance.now();
  const headers = { authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
  while (!signal.aborted) {
    try {
      const position = await ask(`${fastaaps}/registro/position?db_tag=sync`, headers, signal);
      if (position && (JSON.parse(position.toString()) as { lsn?: string | null }).lsn) {
        const ms = performance.now() - startedAt;
        const body = await ask(`${fastaaps}/registro/?db_tag=sync`, headers, signal);
        if (body) return { documents: (JSON.parse(body.toString()) as unknown[]).length, bytes: body.length, ms };
      }
      await wait(POLL_MS, undefined, { signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!isConnectionError(error)) throw error;
      await wait(POLL_MS); // it may have been killed, and is started again
    }
  }
  return undefined;
}

async function ask(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Buffer | undefined> {
  const answer = await fetch(url, { headers, signal });
  const body = Buffer.from(await answer.arrayBuffer());
  return answer.ok ? body : undefined;
}

/** What fetch throws where there is no answer, or only a part of one. */
function isConnectionError(error: unknown): boolean {
  return error instanceof TypeError;
}
