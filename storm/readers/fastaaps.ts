import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { canonicalText, type Digits, type Json, parseDigits } from '../../test/connector/reference-projection.ts';
import { normalised } from '../../test/support/normalised-json.ts';
import { type Documents, documentHash } from '../history/records.ts';

/** What FASTAAPS showed in one answer. */
export interface FastaapsState {
  history: number;
  seq: string;
  lsn: string;
  documents: Documents;
}

const PAUSE_MS = 120;
/** An answer that says the same as the one before is told only so often. */
const AGAIN_MS = 1_000;
const VERSIONS_EVERY = 10;

/** Reads the set that FASTAAPS shows, past every proxy, until the signal comes. */
export async function readFastaaps(
  url: string,
  auth: string,
  signal: AbortSignal,
  told: {
    state(state: FastaapsState): void;
    versions(versions: Record<string, [number, string]>): void;
  },
): Promise<void> {
  const headers = { authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
  const limits = { headersTimeout: 3_000, bodyTimeout: 3_000 };
  let last = { digest: '', at: 0 };
  for (let turn = 0; !signal.aborted; turn++) {
    try {
      const answer = await request(`${url}/registro/?db_tag=sync`, { headers, ...limits });
      const text = await answer.body.text();
      const position = answer.headers['fastaaps-position'];
      if (answer.statusCode === 200 && typeof position === 'string') {
        const digest = createHash('sha256').update(position).update(text).digest('hex');
        if (digest !== last.digest || performance.now() - last.at > AGAIN_MS) {
          last = { digest, at: performance.now() };
          told.state(stateOf(position, text));
        }
      }
      if (turn % VERSIONS_EVERY === 0) {
        const versions = await request(`${url}/registro/versions?db_tag=sync`, { headers, ...limits });
        const lines = await versions.body.text();
        if (versions.statusCode === 200) told.versions(versionsOf(lines));
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw error;
      // It is being killed or stopped.
    }
    await sleep(PAUSE_MS);
  }
}

function stateOf(position: string, text: string): FastaapsState {
  const { history, seq, lsn } = JSON.parse(position) as { history: number; seq: string; lsn: string };
  const list = parseDigits(text) as unknown as { informacion_general: { id_siirays: Digits } }[];
  const documents: Documents = {};
  for (const document of list) {
    const json = normalised(document as unknown as Json);
    documents[document.informacion_general.id_siirays.digits] = documentHash(canonicalText(json));
  }
  return { history, seq, lsn, documents };
}

function versionsOf(lines: string): Record<string, [number, string]> {
  const versions: Record<string, [number, string]> = {};
  for (const line of lines.split('\n')) {
    if (line === '') continue;
    const { id, epoch, version } = JSON.parse(line) as { id: number; epoch: number; version: string };
    versions[String(id)] = [epoch, version];
  }
  return versions;
}
