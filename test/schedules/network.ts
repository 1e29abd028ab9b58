/** A request under way: not yet at the server, or answered and on its way back. */
interface Call {
  apply: () => unknown;
  resolve(value: unknown): void;
  reject(error: Error): void;
  answer: { value: unknown } | { error: Error } | null;
}

/** The answer of a request that waits at the server, for a lock say: it is tried again with the next step. */
export const BLOCKED = Symbol('blocked');

/** What becomes of a request. */
export type Fate = 'served' | 'request lost' | 'answer lost' | 'late';

/**
 * The requests of one process. Nothing moves by itself: a schedule serves a request, and in a second step lets its answer
 * in. A request that failed here may all the same be served, at once or much later.
 */
export class Network {
  readonly #calls: Call[] = [];
  /** Requests that come to the server though nobody waits for their answers any more. */
  readonly #late: (() => unknown)[] = [];

  get pending(): number {
    return this.#calls.length;
  }

  get late(): number {
    return this.#late.length;
  }

  call<T>(apply: () => T | typeof BLOCKED): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#calls.push({ apply, resolve: resolve as (value: unknown) => void, reject, answer: null });
    });
  }

  /** Moves the oldest request one step on. `listening`: whether the process takes answers. */
  step(fate: Fate, listening: boolean): void {
    const call = this.#calls[0];
    if (!call) return;
    if (call.answer === null) {
      if (fate === 'served' || fate === 'answer lost') {
        const answer = outcome(call.apply);
        if ('value' in answer && answer.value === BLOCKED) return;
        call.answer = answer;
      } else if (fate === 'late') this.#late.push(call.apply);
      if (fate !== 'served') call.answer = { error: new Error(`network: ${fate}`) };
      return;
    }
    if (!listening) return;
    this.#calls.shift();
    if ('error' in call.answer) call.reject(call.answer.error);
    else call.resolve(call.answer.value);
  }

  /** The process is gone: what it had sent may still arrive. */
  die(arrives: boolean): void {
    for (const call of this.#calls.splice(0)) if (arrives && call.answer === null) this.#late.push(call.apply);
  }

  /** A late request arrives. */
  arrive(which: number): void {
    const [apply] = this.#late.splice(which, 1);
    if (apply) outcome(apply);
  }
}

function outcome(apply: () => unknown): { value: unknown } | { error: Error } {
  try {
    return { value: apply() };
  } catch (error) {
    return { error: error as Error };
  }
}
