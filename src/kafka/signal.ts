import { z } from 'zod';

/** Ids and names end up in the position, which every Kafka transaction carries: they must be short. */
const short = z.string().min(1).max(200);

/** A request to the producer, in the topic siirays.signal, as JSON. An id is accepted once. */
export const signalSchema = z.discriminatedUnion('kind', [
  z.object({
    id: short,
    kind: z.literal('snapshot'),
    connector: short,
    /** `schema.table` */
    tables: z.array(short).min(1).max(10_000),
  }),
  z.object({
    id: short,
    kind: z.literal('rows'),
    connector: short,
    table: short,
    /** PostgreSQL texts of the key columns, in the order of the table's identity. */
    keys: z.array(z.array(z.string()).min(1)).min(1).max(10_000),
  }),
]);

export type Signal = z.infer<typeof signalSchema>;

/** Writes a signal as a message. */
export function encodeSignal(signal: Signal): { key: string; value: string } {
  return { key: signal.connector, value: JSON.stringify(signal) };
}

/** Reads one; null for a message that is none, which is passed over rather than blocking all others for ever. */
export function decodeSignal(value: Buffer | null): Signal | null {
  if (value === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(value.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  const parsed = signalSchema.safeParse(json);
  return parsed.success ? parsed.data : null;
}
