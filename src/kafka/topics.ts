import { createHash } from 'node:crypto';
import { escapeName } from './names.ts';

/** The names of all topics of one SIIRAyS. Every topic has one partition: order within a topic is commit order. */
export interface Topics {
  /** BEGIN and END of every transaction. */
  readonly transaction: string;
  /** Requests to read rows again. */
  readonly signal: string;
  /** Documents that FASTAAPS or the connector's schema refused. */
  readonly deadLetters: string;
  /** The producer's position, compacted, one key. */
  readonly position: string;
  /** The changes of one table. */
  table(schema: string, table: string): string;
}

/** Topic names below a prefix, `siirays` by default: `siirays.public.epsa`, `siirays.transaction`, … */
export function topicsFor(prefix: string): Topics {
  return {
    transaction: `${prefix}.transaction`,
    signal: `${prefix}.signal`,
    deadLetters: `${prefix}.dead-letters`,
    position: `${prefix}.position`,
    table: (schema, table) => fitting(`${prefix}.${escapeName(schema)}.${escapeName(table)}`),
  };
}

/**
 * Kafka takes 249 characters (org.apache.kafka.common.internals.Topic, MAX_NAME_LENGTH); Apicurio, measured, fails on a
 * subject, which has -value after the topic's name, well before that.
 */
const LONGEST = 200;

/** Cuts a name that is too long, with a hash at its end so that cut names stay apart. */
function fitting(topic: string): string {
  if (topic.length <= LONGEST) return topic;
  const mark = `_${createHash('sha256').update(topic).digest('hex').slice(0, 16)}`;
  return topic.slice(0, LONGEST - mark.length) + mark;
}
