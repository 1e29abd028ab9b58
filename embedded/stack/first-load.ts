import { setTimeout as wait } from 'node:timers/promises';
import { readArray } from '../../src/fastaaps/json-array.ts';

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
 * @param likeToday it knows no changesets: until it holds any document
 * @returns undefined if the signal came first
 */
export async function firstLoad(
  fastaaps: string,
  auth: string,
  likeToday: boolean,
  signal: AbortSignal,
): Promise<FirstLoad | undefined> {
  const startedAt = performance.now();
  const headers = { authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
  while (!signal.aborted) {
    try {
      if (likeToday || (await holdsChangeset(`${fastaaps}/registro/position?db_tag=sync`, headers, signal))) {
        const ms = performance.now() - startedAt;
        const size = await sizeOf(`${fastaaps}/registro/?db_tag=sync`, headers, signal);
        if (size && (size.documents > 0 || !likeToday)) return { ...size, ms };
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

async function holdsChangeset(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<boolean> {
  const answer = await fetch(url, { headers, signal });
  const body = Buffer.from(await answer.arrayBuffer());
  return answer.ok && Boolean((JSON.parse(body.toString()) as { lsn?: string | null }).lsn);
}

/** Of a set of any size: it is not held. */
async function sizeOf(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<{ documents: number; bytes: number } | undefined> {
  const answer = await fetch(url, { headers, signal });
  const size = { documents: 0, bytes: 0 };
  async function* counted(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      size.bytes += chunk.length;
      yield chunk;
    }
  }
  if (!answer.ok || !answer.body) {
    await answer.body?.cancel();
    return undefined;
  }
  for await (const _text of readArray(counted(answer.body))) size.documents += 1;
  return size;
}

/** What fetch throws where there is no answer, or only a part of one. */
function isConnectionError(error: unknown): boolean {
  return error instanceof TypeError;
}
