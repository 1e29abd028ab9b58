import { once } from 'node:events';
import type { Response } from 'express';

const PIECE_LENGTH = 64 * 1024;

/** The peer closed the connection before it had the whole answer. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
  constructor() {
    super('the reader closed the connection');
  }
}

/** Writes an answer in pieces of a sensible size, no faster than its reader takes them. */
export class PieceWriter {
  private held = '';
  private readonly response: Response;

  constructor(response: Response) {
    this.response = response;
  }

  async write(text: string): Promise<void> {
    this.held += text;
    if (this.held.length < PIECE_LENGTH) return;
    const piece = this.held;
    this.held = '';
    if (this.response.destroyed) throw new ReaderGone();
    if (!this.response.write(piece)) await this.drained();
  }

  /** Writes what is held and ends the answer. */
  end(text: string): void {
    if (this.response.destroyed) throw new ReaderGone();
    this.response.end(this.held + text);
    this.held = '';
  }

  /** `drain` never comes where the reader has gone: then `close` ends the waiting. */
  private async drained(): Promise<void> {
    const waiting = new AbortController();
    const { signal } = waiting;
    try {
      await Promise.race([once(this.response, 'drain', { signal }), once(this.response, 'close', { signal })]);
    } finally {
      waiting.abort();
    }
    if (this.response.destroyed) throw new ReaderGone();
  }
}
