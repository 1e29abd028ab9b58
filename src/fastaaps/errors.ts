/** Why one document was refused. */
export interface RefusedDocument {
  id: string;
  /** The first field concerned, e.g. tuberias[2].localidad; empty for the document as a whole. */
  path: string;
  /** The service's words about it. */
  reason: string;
  /** Everything that the service said about this document, as it said it. */
  detail: { loc: (string | number)[]; msg: string; type: string }[];
}

/**
 * - `retry`: passes by itself (network, 408, 429, 5xx);
 * - `configuration`: somebody has to change a setting here or there; asking again changes nothing by itself;
 * - `refused`: the service does not take some documents (422): `refused` names them.
 */
export type FastaapsErrorKind = 'retry' | 'configuration' | 'refused';

export interface FastaapsErrorOptions {
  status?: number;
  /** The setting to look at, e.g. FASTAAPS_PASSWORD. */
  setting?: string;
  /** What the service asked to wait (RFC 9110, 10.2.3 "Retry-After"), in milliseconds. */
  retryAfterMs?: number;
  /** The request may have been carried out all the same: its answer was lost, or came from something in between. */
  outcomeUnknown?: boolean;
  refused?: RefusedDocument[];
  cause?: unknown;
}

/** A call to FASTAAPS that did not succeed. The message names no credentials and no document's content. */
export class FastaapsError extends Error {
  override readonly name = 'FastaapsError';
  readonly kind: FastaapsErrorKind;
  readonly status: number | undefined;
  readonly setting: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly outcomeUnknown: boolean;
  readonly refused: readonly RefusedDocument[];

  constructor(kind: FastaapsErrorKind, message: string, options: FastaapsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.status = options.status;
    this.setting = options.setting;
    this.retryAfterMs = options.retryAfterMs;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
    this.refused = options.refused ?? [];
  }
}
