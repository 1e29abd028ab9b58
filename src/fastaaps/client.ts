import type { FastaapsConfig } from '../config/types.ts';
import { readChangesetResult } from './changeset-result.ts';
import { FastaapsError } from './errors.ts';
import { IdList } from './id-list.ts';
import { readArray } from './json-array.ts';
import { memberTexts } from './json-text.ts';
import { readLines } from './ndjson.ts';
import { readRefusal } from './refusal.ts';
import { type Answer, boundedText, networkError, statusError, Transport } from './transport.ts';
import type { DocumentEtag, DocumentVersion, FastaapsTarget, Position } from './types.ts';

export interface ChangesetAnswer {
  applied: number;
  ignored: number;
  /** Size of the changeset as it was sent. */
  bytes: number;
}

export interface CallOptions {
  signal?: AbortSignal;
}

/** The access service as the consumer and the reconciler use it. Every method throws FastaapsError. */
export class FastaapsClient {
  private readonly transport: Transport;

  constructor(config: FastaapsConfig) {
    this.transport = new Transport(config);
  }

  async close(): Promise<void> {
    await this.transport.close();
  }

  /**
   * Sends one changeset (adapter `changes`): all or nothing.
   * @param lines changes as JSON lines, each with its line feed; taken as fast as the service takes them
   * @param onEtags etags of every id sent, in portions; the changeset is applied by then
   */
  async postChanges(
    target: FastaapsTarget,
    header: Position,
    lines: AsyncIterable<string | Uint8Array>,
    onEtags: (etags: DocumentEtag[]) => Promise<void> | void = () => undefined,
    { signal }: CallOptions = {},
  ): Promise<ChangesetAnswer> {
    async function* body() {
      yield `${JSON.stringify(header)}\n`;
      yield* lines;
    }
    const answer = await this.transport.call({
      method: 'POST',
      path: pathOf(target, 'changes'),
      contentType: 'application/x-ndjson',
      body: body(),
      signal,
    });
    if (answer.status === 422) throw readRefusal(await boundedText(answer.body));
    if (answer.status !== 200) throw await statusError(answer);
    let failed: { error: unknown } | undefined;
    const keep = async (etags: DocumentEtag[]): Promise<void> => {
      try {
        await onEtags(etags);
      } catch (error) {
        failed = { error };
        throw error;
      }
    };
    try {
      return { ...(await readChangesetResult(answer.body, keep)), bytes: answer.sentBytes };
    } catch (error) {
      throw failed ? failed.error : unreadable(error);
    }
  }

  /**
   * Replaces the whole set (adapter `restore`). Today's service names a refused document by its place in the array
   * only: the ids are kept to tell which one it was.
   */
  async restoreSet(
    target: FastaapsTarget,
    documents: AsyncIterable<{ id: string; text: string }>,
    { signal }: CallOptions = {},
  ): Promise<{ documents: number; bytes: number }> {
    const ids = new IdList();
    async function* body() {
      let separator = '[';
      for await (const { id, text } of documents) {
        ids.push(id);
        yield separator + text;
        separator = ',';
      }
      yield separator === '[' ? '[]' : ']';
    }
    const answer = await this.transport.call({
      method: 'POST',
      path: pathOf(target, 'restore'),
      contentType: 'application/json',
      body: body(),
      signal,
    });
    if (answer.status === 422) throw readRefusal(await boundedText(answer.body), (place) => ids.at(place));
    if (answer.status !== 201) throw await statusError(answer);
    for await (const _bytes of bytesOf(answer)) {
      // The answer is the set again: nothing in it that we do not know.
    }
    return { documents: ids.length, bytes: answer.sentBytes };
  }

  /** The newest changeset that the set holds; null where it holds none. */
  async getPosition(target: FastaapsTarget, { signal }: CallOptions = {}): Promise<Position | null> {
    const answer = await this.transport.call({ method: 'GET', path: pathOf(target, 'position'), signal });
    if (answer.status === 404) return noPosition(await boundedText(answer.body), answer);
    if (answer.status !== 200) throw await statusError(answer);
    return readPosition(await boundedText(answer.body));
  }

  /** Version and etag of every document and tombstone, ordered by id as the service orders them. */
  async *getVersions(target: FastaapsTarget, { signal }: CallOptions = {}): AsyncGenerator<DocumentVersion> {
    const answer = await this.transport.call({ method: 'GET', path: pathOf(target, 'versions'), signal });
    if (answer.status !== 200) throw await statusError(answer);
    for await (const { text } of readLines(bytesOf(answer))) yield readVersion(text);
  }

  /** One document as JSON text, every digit as the service has it; null where there is none. */
  async getDocument(target: FastaapsTarget, id: string, { signal }: CallOptions = {}): Promise<string | null> {
    const answer = await this.transport.call({ method: 'GET', path: pathOf(target, encodeURIComponent(id)), signal });
    if (answer.status === 404) {
      await boundedText(answer.body);
      return null;
    }
    if (answer.status !== 200) throw await statusError(answer);
    return boundedText(answer.body, Number.POSITIVE_INFINITY);
  }

  /** The whole set as JSON texts, with the position of the same snapshot where the service tells it. */
  async getSet(
    target: FastaapsTarget,
    { signal }: CallOptions = {},
  ): Promise<{ position: Position | null; documents: AsyncGenerator<string> }> {
    const answer = await this.transport.call({ method: 'GET', path: pathOf(target, ''), signal });
    if (answer.status !== 200) throw await statusError(answer);
    const header = answer.headers['fastaaps-position'];
    const position = typeof header === 'string' ? readPosition(header) : null;
    return { position, documents: readArray(bytesOf(answer)) };
  }
}

function pathOf({ path, tag }: FastaapsTarget, call: string): string {
  return `/${path.replace(/^\/+|\/+$/g, '')}/${call}?db_tag=${encodeURIComponent(tag)}`;
}

async function* bytesOf({ body }: Answer): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk as Uint8Array;
  } catch (error) {
    throw networkError(error);
  }
}

/** A body that breaks off or is not what was agreed: something in between answered, or the connection broke. */
function unreadable(error: unknown): FastaapsError {
  if (!(error instanceof SyntaxError)) return networkError(error);
  return new FastaapsError('retry', `FASTAAPS's answer cannot be read: ${error.message}`, {
    outcomeUnknown: true,
    cause: error,
  });
}

/** A set without a changeset answers 404 with a detail; a wrong address answers 404 too, with something else. */
function noPosition(text: string, answer: Answer): null {
  if (text.includes('"detail"') && text.includes('"error"')) return null;
  throw new FastaapsError('configuration', 'FASTAAPS answers 404 to the question for its position', {
    status: answer.status,
    setting: 'FASTAAPS_URL, and the connector’s target.path and target.adapter',
  });
}

function readPosition(text: string): Position {
  const position = parse(text) as Partial<Position> | null;
  const { source, epoch, version, history, seq, lsn } = position ?? {};
  const complete =
    typeof source === 'string' &&
    typeof lsn === 'string' &&
    Number.isInteger(epoch) &&
    Number.isInteger(history) &&
    /^\d+$/.test(String(version)) &&
    /^\d+$/.test(String(seq));
  if (!complete) throw unreadable(new SyntaxError('it is no position'));
  return { source, epoch, version, history, seq, lsn } as Position;
}

function readVersion(text: string): DocumentVersion {
  const { epoch, version, etag } = parse(text) as DocumentVersion;
  const id = memberTexts(text).get('id') ?? '';
  if (id === '' || !Number.isInteger(epoch) || typeof version !== 'string' || etag === undefined) {
    throw unreadable(new SyntaxError('a line of versions is not of the agreed form'));
  }
  return { id: id.startsWith('"') ? (JSON.parse(id) as string) : id, epoch, version, etag };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unreadable(error);
  }
}
