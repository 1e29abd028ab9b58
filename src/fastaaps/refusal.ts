import { FastaapsError, type RefusedDocument } from './errors.ts';

interface Detail {
  id?: unknown;
  loc: (string | number)[];
  msg: string;
  type: string;
}

/**
 * What a 422 says. With ids (adapter `changes`) or places in the array (`restore`) it is about documents; anything
 * else is a mistake in how we call.
 * @param idAt the id of the document at a place in the array that was sent; without it, documents are named by id
 */
export function readRefusal(text: string, idAt?: (place: number) => string | undefined): FastaapsError {
  const details = readDetails(text);
  const documents = new Map<string, RefusedDocument>();
  for (const { id: given, loc, msg, type } of details) {
    const id = idAt ? idAt(Number(loc.find((part) => typeof part === 'number'))) : textId(given);
    if (id === undefined) continue;
    const document = documents.get(id) ?? { id, path: pathOf(loc, idAt !== undefined), reason: msg, detail: [] };
    document.detail.push({ loc, msg, type });
    documents.set(id, document);
  }
  const status = 422;
  if (documents.size > 0) {
    const refused = [...documents.values()];
    return new FastaapsError('refused', `FASTAAPS refuses ${refused.length} document(s)`, { status, refused });
  }
  const said = details[0] ? `${details[0].msg} (${pathOf(details[0].loc, false)})` : 'no reason that we understand';
  return new FastaapsError('configuration', `FASTAAPS answers 422 without naming a document: ${said}`, {
    status,
    setting: 'the connector’s target',
  });
}

function readDetails(text: string): Detail[] {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return [];
  }
  const detail = (body as { detail?: unknown } | null)?.detail;
  return Array.isArray(detail) ? detail.filter(isDetail) : [];
}

function isDetail(value: unknown): value is Detail {
  const detail = value as Partial<Detail> | null;
  return Array.isArray(detail?.loc) && typeof detail.msg === 'string' && typeof detail.type === 'string';
}

function textId(id: unknown): string | undefined {
  if (typeof id === 'string') return id;
  return Number.isSafeInteger(id) ? String(id) : undefined;
}

/** `["body", 3, "tuberias", 2, "localidad"]` or `["document", "tuberias", …]` as tuberias[2].localidad. */
function pathOf(loc: readonly (string | number)[], byPlace: boolean): string {
  let parts = loc[0] === 'body' || loc[0] === 'document' ? loc.slice(1) : loc;
  if (byPlace && typeof parts[0] === 'number') parts = parts.slice(1);
  return parts.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('');
}
