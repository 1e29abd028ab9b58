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
  while (!(await hasPosition(fastaaps, headers))) {
    if (signal.aborted) return undefined;
    await wait(POLL_MS);
  }
  const ms = performance.now() - startedAt;
  const answer = await fetch(`${fastaaps}/registro/?db_tag=sync`, { headers });
  const body = Buffer.from(await answer.arrayBuffer());
  return { documents: (JSON.parse(body.toString()) as unknown[]).length, bytes: body.length, ms };
}

/** Whether the set `sync` holds a changeset. FASTAAPS may be restarted meanwhile: then it does not answer for a while. */
async function hasPosition(fastaaps: string, headers: Record<string, string>): Promise<boolean> {
  try {
    const answer = await fetch(`${fastaaps}/registro/position?db_tag=sync`, {
      headers,
      signal: AbortSignal.timeout(5000),
    });
    const position = answer.ok ? ((await answer.json()) as { lsn?: string | null }) : undefined;
    return typeof position?.lsn === 'string';
  } catch {
    return false; // not reachable yet
  }
}
