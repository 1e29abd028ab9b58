/** One mistake of several. */
export interface Mistake {
  /** Where in the body, as a JSON Pointer (RFC 6901); '' is the whole. */
  pointer?: string;
  /** Which parameter of the query, the path or the headers. */
  parameter?: string;
  detail: string;
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

export interface ProblemExtra {
  /** What kind of problem it is, where the status does not tell: the end of its type's URN. */
  kind?: string;
  title?: string;
  errors?: readonly Mistake[];
  /** Further members of the answer. */
  members?: Readonly<Record<string, unknown>>;
  headers?: Readonly<Record<string, string>>;
}

/** An answer of problem details (RFC 9457), thrown by whoever finds the problem. */
export class Problem extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;

  constructor(status: number, detail: string, { kind, title, errors, members, headers = {} }: ProblemExtra = {}) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.headers = headers;
    const type = kind === undefined ? 'about:blank' : `urn:siirays-sync:problem:${kind}`;
    this.body = { type, title: title ?? TITLES[status] ?? 'Error', status, detail, errors, ...members };
  }
}

/** Several mistakes at once, each named. */
export function invalid(errors: readonly Mistake[]): Problem {
  const detail = errors.length === 1 ? errors[0]!.detail : `${errors.length} mistakes were found`;
  return new Problem(400, detail, { kind: 'invalid-request', title: 'The request is not valid', errors });
}

export function notFound(what: string): Problem {
  return new Problem(404, what);
}
