import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Refused } from '../proxy/fastaaps-proxy.ts';
import { Judge } from './judge.ts';
import type { HistoryRecord } from './records.ts';

/** The history that a storm writes as it goes (NDJSON), for a checker to judge. */
export class HistoryFile {
  readonly path: string;
  readonly #stream: WriteStream;
  /** Judges along, to know what is refused at the moment. */
  readonly #judge = new Judge();
  readonly #startedAt = performance.now();

  constructor(path: string) {
    this.path = path;
    this.#stream = createWriteStream(path);
  }

  /** Documents that were refused and whose newer version was not seen since. */
  get stillRefused(): string[] {
    return this.#judge.refused;
  }

  write(record: HistoryRecord): void {
    this.#judge.take(record);
    this.#stream.write(`${JSON.stringify(record)}\n`);
  }

  refused({ id, lsn }: Refused): void {
    this.write({ kind: 'refused', at: Math.round(performance.now() - this.#startedAt), id, lsn });
  }

  async close(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream);
  }
}
