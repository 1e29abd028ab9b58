import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where Debian's package libfaketime puts it. */
const LIBRARIES = ['x86_64', 'aarch64'].map((arch) => `/usr/lib/${arch}-linux-gnu/faketime/libfaketimeMT.so.1`);

/**
 * The clock that our processes see, by libfaketime: stepped forward and back while they run. Monotonic clocks stay.
 *
 * Not the sync server's: libfaketime shows the true time to whatever runs inside a wait (epoll_wait), and PostgreSQL's
 * time-outs ask for the time in a signal handler there. Seen on 18.4: after a step back, the
 * idle_in_transaction_session_timeout of every later session strikes too early.
 */
export class Clocks {
  readonly #library: string;
  readonly #file: string;
  #offsetSeconds = 0;

  private constructor(library: string, file: string) {
    this.#library = library;
    this.#file = file;
    this.#write();
  }

  /** Undefined where the library is not there. */
  static find(dir: string): Clocks | undefined {
    const library = LIBRARIES.find((path) => existsSync(path));
    return library === undefined ? undefined : new Clocks(library, join(dir, 'clock'));
  }

  /** What a process is started with whose clock this is to be. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** Steps the clock by so many seconds, which is seen within a second. */
  step(seconds: number): void {
    this.#offsetSeconds += seconds;
    this.#write();
  }

  #write(): void {
    writeFileSync(`${this.#file}.new`, `${this.#offsetSeconds < 0 ? '-' : '+'}${Math.abs(this.#offsetSeconds)}s\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}
