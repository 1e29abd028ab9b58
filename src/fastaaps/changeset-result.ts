import { TextDecoder } from 'node:util';
import { JsonTokens } from './json-tokens.ts';
import type { DocumentEtag } from './types.ts';

export interface ChangesetCounts {
  applied: number;
  ignored: number;
}

const ETAGS_AT_ONCE = 1_000;

/**
 * Reads the answer `{"applied":n,"ignored":n,"etags":{…}}` as a stream: of a changeset with millions of documents only
 * a thousand etags are held at a time. Other members are passed over.
 * @param onEtags takes the etags in portions; the answer is read on when it resolves
 * @throws SyntaxError where the answer is not of this form
 */
export async function readChangesetResult(
  body: AsyncIterable<Uint8Array>,
  onEtags: (etags: DocumentEtag[]) => Promise<void> | void,
): Promise<ChangesetCounts> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const tokens = new JsonTokens();
  const reader = new ResultReader();
  for await (const bytes of body) {
    for (const token of tokens.push(decoder.decode(bytes, { stream: true }))) {
      reader.take(token);
      if (reader.etags.length >= ETAGS_AT_ONCE) await onEtags(reader.etags.splice(0));
    }
  }
  for (const token of tokens.end()) reader.take(token);
  const counts = reader.counts();
  if (reader.etags.length > 0) await onEtags(reader.etags);
  return counts;
}

/** Follows the tokens: names by depth, so that only the members that count are looked at. */
class ResultReader {
  readonly etags: DocumentEtag[] = [];
  private readonly names: (string | undefined)[] = [];
  private readonly numbers = new Map<string, number>();
  private previous = '';
  private closed = false;

  take(token: string): void {
    const before = this.previous;
    this.previous = token;
    if (token === '{' || token === '[') this.names.push(undefined);
    else if (token === '}' || token === ']') this.leave();
    else if (token === ':') this.names[this.names.length - 1] = JSON.parse(before) as string;
    else if (token !== ',' && before === ':') this.value(JSON.parse(token));
  }

  counts(): ChangesetCounts {
    const applied = this.numbers.get('applied');
    const ignored = this.numbers.get('ignored');
    if (!this.closed || applied === undefined || ignored === undefined) {
      throw new SyntaxError('the answer to a changeset is not {"applied", "ignored", "etags"}');
    }
    return { applied, ignored };
  }

  private leave(): void {
    this.names.pop();
    this.closed = this.names.length === 0;
  }

  private value(value: unknown): void {
    const [first, second] = this.names;
    if (this.names.length === 1 && first !== undefined && typeof value === 'number') this.numbers.set(first, value);
    if (this.names.length !== 2 || first !== 'etags' || second === undefined) return;
    if (typeof value !== 'string' && value !== null) throw new SyntaxError('an etag is neither text nor null');
    this.etags.push([second, value]);
  }
}
