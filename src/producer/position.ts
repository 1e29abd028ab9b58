import { z } from 'zod';
import { formatLsn, type Lsn, parseLsn } from '../postgres/lsn.ts';

const lsn = z.string().transform((text) => parseLsn(text));

/** A re-read that the producer has accepted; what is left of it to do. */
const pendingRequest = z.object({
  id: z.string(),
  kind: z.enum(['snapshot', 'rows']),
  connector: z.string(),
  tables: z.array(z.string()),
  /** Keys that were asked for, for kind rows. */
  keys: z.array(z.array(z.string())).nullable(),
  /** Whether its BEGIN is in Kafka. */
  begun: z.boolean(),
  /** Place in `tables` of the table being read. */
  table: z.number().int(),
  /** Key of the last row published of that table; null before the first chunk. */
  after: z.array(z.string()).nullable(),
  /** Fingerprint of the shape that `after` is a key of. */
  shape: z.string().nullable().default(null),
  chunks: z.number().int(),
  rows: z.number().int(),
});

export type PendingRequest = z.infer<typeof pendingRequest>;

const positionSchema = z.object({
  history: z.number().int(),
  seq: z.string().transform((text) => BigInt(text)),
  systemIdentifier: z.string(),
  timeline: z.number().int(),
  slot: z.string(),
  publication: z.string(),
  end_lsn: lsn,
  last: z.object({ txId: z.number().int(), commit_lsn: lsn, commit_ts: z.number() }).nullable(),
  signal_offset: z.string(),
  accepted: z.array(z.string()),
  requests: z.array(pendingRequest),
  /** Delivered transactions that no snapshot has shown yet, see DeliveredXids. */
  unseen: z.array(z.number().int()).default([]),
  /** From which transaction id on each published table may be read, by its oid: see PublicationStart. */
  published: z.record(z.string(), z.string().regex(/^\d+$/)).default({}),
  /** The connectors' tables as they were last noted, by name: see TableEras. */
  eras: z.record(z.string(), z.string()).default({}),
});

/** What is in Kafka of SIIRAyS's history: everything whose commit ends at or below `end_lsn`, exclusively. */
export type Position = Readonly<z.infer<typeof positionSchema>>;

/** Ids of accepted requests that are remembered, so that a signal repeated soon after is not served twice. */
export const ACCEPTED_KEPT = 256;

/** Writes a position as the JSON of its record. */
export function encodePosition(position: Position): string {
  return JSON.stringify(position, (key, value: unknown) =>
    typeof value === 'bigint' ? (key.endsWith('lsn') ? formatLsn(value) : String(value)) : value,
  );
}

/**
 * Reads it.
 * @throws where the record is none: the topic belongs to something else, or a newer version wrote it
 */
export function decodePosition(text: string): Position {
  const parsed = positionSchema.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new Error(`the record in the position topic is not a position: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** What the producer finds in SIIRAyS when it starts. */
export interface SourceIdentity {
  systemIdentifier: string;
  timeline: number;
  slot: string;
  publication: string;
  /** The slot's confirmed position. */
  confirmedLsn: Lsn;
  /** How far the server's WAL is flushed. */
  flushLsn: Lsn;
}

/** A history that the stream itself has shown to be broken. */
export interface FoundBroken {
  history: number;
  reason: string;
}

/** Why the stream cannot go on from a position without a gap, or null where it can. */
export function brokenHistory(
  position: Position,
  source: SourceIdentity,
  found: FoundBroken | null = null,
): string | null {
  if (found?.history === position.history) return found.reason;
  if (position.systemIdentifier !== source.systemIdentifier) return 'SIIRAyS is another server (system identifier)';
  if (position.slot !== source.slot) return 'the slot is another';
  if (source.confirmedLsn > position.end_lsn) {
    return `the slot was confirmed up to ${formatLsn(source.confirmedLsn)}, beyond ${formatLsn(position.end_lsn)} in Kafka`;
  }
  if (position.end_lsn > source.flushLsn) {
    return `SIIRAyS's WAL ends at ${formatLsn(source.flushLsn)}, before ${formatLsn(position.end_lsn)} in Kafka: it was restored from an older copy`;
  }
  return null;
}

/** The first position of a new history. */
export function newHistory(source: SourceIdentity, previous: Position | null): Position {
  return {
    history: (previous?.history ?? 0) + 1,
    seq: 0n,
    systemIdentifier: source.systemIdentifier,
    timeline: source.timeline,
    slot: source.slot,
    publication: source.publication,
    end_lsn: source.confirmedLsn,
    last: null,
    signal_offset: previous?.signal_offset ?? '0',
    accepted: previous ? [...previous.accepted] : [],
    requests: [],
    unseen: [],
    published: {},
    eras: {},
  };
}
