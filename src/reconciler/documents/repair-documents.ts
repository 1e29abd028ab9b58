import type { CompiledConnector } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { insertMarks } from '../mark-documents.ts';
import type { DocumentCandidate } from './document-candidate.ts';
import { LETTER } from './document-state.ts';
import type { ReplicaSession } from './replica-session.ts';
import { rootIds } from './root-ids.ts';

/** Documents looked at in one statement. */
const PORTION = 1_000;

/**
 * Marks documents, so that the consumer projects and sends them anew whatever their hash says. What FASTAAPS refuses is
 * sent once more; what lacks a required field would not be sent, and is left alone.
 * @returns by id why a document is left alone
 */
export async function repairDocuments(
  session: ReplicaSession,
  connector: CompiledConnector,
  syncSchema: string,
  candidates: readonly DocumentCandidate[],
): Promise<Map<string, string>> {
  const left = new Map<string, string>();
  for (let at = 0; at < candidates.length; at += PORTION) {
    const portion = candidates.slice(at, at + PORTION);
    const reasons = await reasonsAgainst(session, connector, syncSchema, portion);
    for (const [id, reason] of reasons) left.set(id, reason);
    const marked = portion.map(({ key }) => key).filter((id) => !reasons.has(id));
    if (marked.length > 0) await insertMarks((work) => session.use(work), syncSchema, marked);
  }
  return left;
}

async function reasonsAgainst(
  session: ReplicaSession,
  connector: CompiledConnector,
  syncSchema: string,
  candidates: readonly DocumentCandidate[],
): Promise<Map<string, string>> {
  const s = quoteIdentifier(syncSchema);
  const ids = candidates.map(({ key }) => key);
  // What is not projected as it should be gets a new version first, which may lack nothing or something else.
  const projected = new Set(candidates.filter(({ kind }) => kind !== 'projection').map(({ key }) => key));
  return session.snapshot(async (client, placement) => {
    const { rows: known } = await client.query<{ id: string; refused: string | null }>(
      `SELECT d.id, l.reason AS refused FROM ${s}.document AS d
         LEFT JOIN ${s}.dead_letter AS l ON l.id = d.id AND ${LETTER} WHERE d.id = ANY ($1::text[])`,
      [textArray(ids)],
    );
    const lacking = known.filter(({ id, refused }) => refused === 'schema' && projected.has(id)).map(({ id }) => id);
    const { rows: problems } = await client.query<{ id: string; path: string }>(
      `SELECT id, problems[1] AS path FROM (${connector.projection(placement, '(SELECT unnest($1::text[]) AS id)')}) AS p
       WHERE problems IS NOT NULL`,
      [textArray(lacking)],
    );
    const documents = new Set(known.map(({ id }) => id));
    const others = ids.filter((id) => !documents.has(id));
    const roots = new Set(await rootIds(client, connector, placement, others));
    return new Map([
      ...problems.map(({ id, path }): [string, string] => [id, `still lacks ${path}`]),
      ...others
        .filter((id) => !roots.has(id))
        .map((id): [string, string] => [
          id,
          `no ${connector.root.idColumn} of ${connector.root.table} can be so: FASTAAPS alone can delete this document`,
        ]),
    ]);
  });
}
