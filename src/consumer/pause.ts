/** What people read while a connector is paused. */
export const PAUSED = 'paused: nothing is read and nothing is delivered until it is resumed';

/** The connector was paused: the pipeline ends, and the next one waits. */
export class Paused extends Error {
  override readonly name = 'Paused';

  constructor() {
    super(PAUSED);
  }
}

/** Follows the column `paused` of the checkpoint, as the lease's renewals tell it. */
export class PauseSwitch {
  readonly #first = Promise.withResolvers<boolean>();
  readonly #off = Promise.withResolvers<void>();
  readonly #onPaused: () => void;
  #on: boolean | null = null;

  /** @param onPaused called when it is switched on after work has begun */
  constructor(onPaused: () => void) {
    this.#onPaused = onPaused;
  }

  set(on: boolean): void {
    if (on === this.#on) return;
    const before = this.#on;
    this.#on = on;
    this.#first.resolve(on);
    if (!on) this.#off.resolve();
    else if (before === false) this.#onPaused();
  }

  /** Whether it was on at the first look. @throws the signal's reason when that aborts first */
  isOn(signal: AbortSignal): Promise<boolean> {
    return unlessAborted(signal, this.#first.promise);
  }

  /** Waits until it is off. @throws the signal's reason when that aborts first */
  off(signal: AbortSignal): Promise<void> {
    return unlessAborted(signal, this.#off.promise);
  }
}

async function unlessAborted<T>(signal: AbortSignal, wanted: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([wanted, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
