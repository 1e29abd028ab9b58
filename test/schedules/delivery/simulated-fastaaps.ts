import type { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { FastaapsError } from '../../../src/fastaaps/errors.ts';
import type { DocumentEtag, DocumentVersion, Position } from '../../../src/fastaaps/types.ts';
import type { Network } from '../network.ts';

interface Stored {
  epoch: number;
  version: bigint;
  body: string | null;
}

interface Change {
  id: string;
  version: bigint;
  body: string | null;
}

interface Service {
  documents: Map<string, Stored>;
  position: Position | null;
}

/**
 * The access service with its rules (embedded/fastaaps/changeset.ts): older versions are ignored, the position never goes
 * back. Putting it back to a copy takes it away for a while: what is under way then fails. Whether somebody else changes it
 * between the question for its position and the changeset behind it, the contract cannot tell: that does not happen here,
 * and is the reconciler's to find.
 */
export class SimulatedFastaaps {
  #now: Service = { documents: new Map(), position: null };
  #copy: Service | null = null;
  /** How often it was put back, or written by another. */
  #times = 0;
  /** Called after each changeset that was applied. */
  onApplied: () => void = () => undefined;

  get position(): Position | null {
    return this.#now.position;
  }

  /** What readers see. */
  shown(): [string, string][] {
    const shown = [...this.#now.documents].flatMap(([id, { body }]): [string, string][] =>
      body === null ? [] : [[id, body]],
    );
    return shown.sort(([a], [b]) => Number(a) - Number(b));
  }

  backUp(): void {
    this.#copy = { documents: new Map(this.#now.documents), position: this.#now.position };
  }

  restore(): void {
    this.#times += 1;
    if (this.#copy) this.#now = { documents: new Map(this.#copy.documents), position: this.#copy.position };
  }

  empty(): void {
    this.#times += 1;
    this.#now = { documents: new Map(), position: null };
  }

  /** Somebody else writes. */
  intrude(id: string): void {
    const { position } = this.#now;
    if (!position) return;
    this.#times += 1;
    const version = String(BigInt(position.version) + 20n);
    this.#apply({ ...position, version }, [{ id, version: BigInt(version), body: '"of another"' }]);
  }

  /** The client of one process. */
  client(network: Network): FastaapsClient {
    const unknown = (error: Error) =>
      new FastaapsError('retry', error.message, { outcomeUnknown: true, cause: error } as ConstructorParameters<
        typeof FastaapsError
      >[2]);
    const self = this;
    let asked = 0;
    return {
      getPosition: () =>
        network.call(() => {
          asked = self.#times;
          return self.#now.position;
        }),
      async postChanges(
        _target: unknown,
        header: Position,
        lines: AsyncIterable<string>,
        onEtags: (etags: DocumentEtag[]) => Promise<void>,
      ) {
        const before = asked;
        const changes: Change[] = [];
        for await (const line of lines) {
          const { id, version, document } = JSON.parse(line);
          changes.push({
            id,
            version: BigInt(version),
            body: document === undefined ? null : JSON.stringify(document),
          });
        }
        const answer = await network
          .call(() => {
            if (before !== self.#times) throw new Error('network: the service was away');
            return self.#apply(header, changes);
          })
          .catch((error: Error) => {
            throw unknown(error);
          });
        await onEtags(answer.etags);
        return { applied: answer.applied, ignored: answer.ignored, bytes: 0 };
      },
      async *getVersions() {
        yield* await network.call(() => self.#versions());
      },
    } as unknown as FastaapsClient;
  }

  #versions(): DocumentVersion[] {
    return [...this.#now.documents].map(([id, { epoch, version, body }]) => ({
      id,
      epoch,
      version: String(version),
      etag: body,
    }));
  }

  #apply(header: Position, changes: Change[]): { applied: number; ignored: number; etags: DocumentEtag[] } {
    const { documents, position } = this.#now;
    let applied = 0;
    for (const { id, version, body } of changes) {
      const stored = documents.get(id);
      if (stored && (stored.epoch - header.epoch || Number(stored.version - version)) >= 0) continue;
      documents.set(id, { epoch: header.epoch, version, body });
      applied += 1;
    }
    if (position === null || compare(position, header) <= 0) this.#now.position = header;
    this.onApplied();
    const etags = changes.map(({ id }): DocumentEtag => [id, documents.get(id)!.body]);
    return { applied, ignored: changes.length - applied, etags };
  }
}

/** As rows (epoch, version, history, seq). */
function compare(a: Position, b: Position): number {
  return (
    a.epoch - b.epoch ||
    Number(BigInt(a.version) - BigInt(b.version)) ||
    a.history - b.history ||
    Number(BigInt(a.seq) - BigInt(b.seq))
  );
}
