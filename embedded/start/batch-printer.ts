/** What the consumer logs of each changeset that FASTAAPS took. */
interface Delivered {
  event: 'changeset_delivered';
  documents: number;
  deleted: number;
  lsn: string;
  delayMs?: number;
}

const SERIOUS = new Set(['warn', 'error', 'fatal']);
/** What the Kafka client says of each retry: for the log files only. */
const KAFKA_CLIENT = 'kafka_client';

/** Turns the log of the pipeline's processes into lines for a person: each delivered batch, each warning. */
export class BatchPrinter {
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** Takes one log line (pino JSON). */
  take(name: string, line: string): void {
    const entry = parse(line);
    if (!entry) this.#print(`${name}: ${line}`);
    else if (isDelivered(entry)) this.#printBatch(entry);
    else if (isSerious(entry)) this.#print(`${name}: ${String(entry.msg)}`);
  }

  #printBatch({ documents, deleted, lsn, delayMs }: Delivered): void {
    if (documents === 0 && deleted === 0) return; // it only moved the position
    const delay = delayMs === undefined ? '' : `, ${Math.round(delayMs)} ms after the commit`;
    const gone = deleted > 0 ? `, ${deleted} deleted` : '';
    this.#print(`delivered ${documents} documents${gone}: SIIRAyS at ${lsn}${delay}`);
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // not of the logger: shown as it is
  }
}

function isSerious({ level, event }: Record<string, unknown>): boolean {
  return SERIOUS.has(String(level)) && event !== KAFKA_CLIENT;
}

function isDelivered(entry: Record<string, unknown>): entry is Record<string, unknown> & Delivered {
  return entry.event === 'changeset_delivered';
}
