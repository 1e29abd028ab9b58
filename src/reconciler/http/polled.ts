import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A value that is read again and again while somebody watches it, once for all watchers. Each watcher gets the newest
 * value whenever it has changed and the watcher is ready for it: a slow one misses what was in between, and nothing waits.
 */
export class Polled<T> {
  readonly #read: () => Promise<T>;
  readonly #everyMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #wake = new Set<() => void>();
  #watchers = 0;
  #polling: AbortController | null = null;
  #newest: { value: T; text: string; version: number } | null = null;
  #version = 0;

  /** @param onError told of a read that failed; the next one comes all the same */
  constructor(read: () => Promise<T>, everyMs: number, onError: (error: unknown) => void) {
    this.#read = read;
    this.#everyMs = everyMs;
    this.#onError = onError;
  }

  /** Whether anybody watches. */
  get watched(): boolean {
    return this.#watchers > 0;
  }

  /** The value now and whenever it has changed (as JSON), until the signal aborts. */
  async *values(signal: AbortSignal): AsyncGenerator<T> {
    this.#watchers += 1;
    if (this.#polling === null) this.#poll();
    try {
      let seen = 0;
      while (!signal.aborted) {
        if (this.#newest !== null && this.#newest.version > seen) {
          seen = this.#newest.version;
          yield this.#newest.value;
        } else {
          await this.#change(signal);
        }
      }
    } finally {
      this.#watchers -= 1;
      if (this.#watchers === 0) this.#stop();
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wake.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wake.add(done);
      signal.addEventListener('abort', done);
    });
  }

  #stop(): void {
    this.#polling?.abort();
    this.#polling = null;
    this.#newest = null;
  }

  async #poll(): Promise<void> {
    const polling = new AbortController();
    this.#polling = polling;
    while (!polling.signal.aborted) {
      try {
        const value = await this.#read();
        if (polling.signal.aborted) return;
        this.#take(value);
      } catch (error) {
        this.#onError(error);
      }
      await sleep(this.#everyMs, undefined, { signal: polling.signal, ref: false }).catch(() => undefined);
    }
  }

  #take(value: T): void {
    const text = JSON.stringify(value);
    if (text === this.#newest?.text) return;
    this.#version += 1;
    this.#newest = { value, text, version: this.#version };
    for (const wake of [...this.#wake]) wake();
  }
}
