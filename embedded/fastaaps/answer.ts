/** An answer that is no success, thrown by whatever finds the reason and written by the error handler of app.ts. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  /** What stands in `detail`. */
  readonly detail: RefusalDetail;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, detail: RefusalDetail, headers: Record<string, string> = {}) {
    super(`answer ${status}`);
    this.status = status;
    this.detail = detail;
    this.headers = headers;
  }
}

export type RefusalDetail = { error: string } | Reason[];

/** Why a document (or a part of the request) was refused, in the form that FastAPI made usual. */
export interface Reason {
  /** The document's id, where the call names documents by id. */
  id?: JsonId | null;
  loc: (string | number)[];
  msg: string;
  type: string;
}

/** An id as JSON has it: a number where it is a whole number, else a text. */
export type JsonId = number | string;

/** A refusal with one sentence: `{"detail":{"error":…}}`. */
export function refusal(status: number, error: string, headers: Record<string, string> = {}): Refusal {
  return new Refusal(status, { error }, headers);
}
