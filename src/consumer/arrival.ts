/** Wakes one waiter when something has come. What comes while nobody waits is remembered. */
export class Arrival {
  #come = false;
  #wake: (() => void) | null = null;

  notify(): void {
    this.#come = true;
    this.#wake?.();
  }

  /** Resolves at once where something has come since the last wait, else when it does or when the time is over. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.#come) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
      this.#wake = null;
    }
    this.#come = false;
  }
}
