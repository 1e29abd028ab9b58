/** Wakes one waiter; a `set` with nobody waiting is kept for the next `wait`. */
export class ClearableSignal {
  #set = false;
  #resolve: (() => void) | null = null;

  set(): void {
    if (this.#resolve) {
      const resolve = this.#resolve;
      this.#resolve = null;
      resolve();
    } else {
      this.#set = true;
    }
  }

  wait(): Promise<void> {
    if (this.#set) {
      this.#set = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}
