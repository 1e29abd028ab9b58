import { messageWithoutValues } from '../logging/logger.ts';

/** What an error of a peer means for the operator, and what to do: by its code, never by its text. */
const BY_CODE: Readonly<Record<string, string>> = {
  // PostgreSQL (manual, appendix A)
  '28P01': 'PostgreSQL refuses the password: check the URL of SIIRAYS_URL, SIIRAYS_READ_URL or SYNC_URL',
  '28000': 'PostgreSQL refuses the user: check the URL and the server’s pg_hba.conf',
  '3D000': 'the database named in the URL does not exist',
  '42501': 'a right is missing in PostgreSQL: sql/siirays-setup.sql grants what SIIRAyS has to grant',
  '53300': 'PostgreSQL has no connection left for us',
  // the system (errno(3))
  ECONNREFUSED: 'nobody listens at the address',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  ETIMEDOUT: 'the host does not answer',
  EHOSTUNREACH: 'the host cannot be reached',
};

/** Kafka's error types as the client names them (protocol guide, "Error Codes"). */
const BY_TYPE: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED:
    'Kafka refuses a right on a topic below KAFKA_TOPIC_PREFIX: the producer needs CREATE, DESCRIBE, READ and WRITE, the consumer DESCRIBE and READ, and WRITE on signal and dead-letters',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    'Kafka refuses the transactional ids: grant DESCRIBE and WRITE on those that begin with KAFKA_TOPIC_PREFIX',
  GROUP_AUTHORIZATION_FAILED:
    'Kafka refuses the consumer group: grant READ and DELETE on groups that begin with KAFKA_TOPIC_PREFIX',
  CLUSTER_AUTHORIZATION_FAILED: 'Kafka refuses a right on the cluster: grant IDEMPOTENT_WRITE and CREATE',
  SASL_AUTHENTICATION_FAILED:
    'Kafka refuses the user name or password: check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD',
  MESSAGE_TOO_LARGE: 'a request exceeds the topic’s max.message.bytes: it must be at least KAFKA_MAX_MESSAGE_BYTES',
};

/**
 * One line that says what an error is and what its known cause asks for: the messages along its chain of causes, then
 * the cure.
 */
export function explainError(error: unknown): string {
  const messages: string[] = [];
  let cure: string | undefined;
  const seen = new Set<unknown>();
  for (let at: unknown = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    const { code, type, errors } = at as { code?: unknown; type?: unknown; errors?: unknown[] };
    // A host with several addresses fails with all of them at once.
    const inner = errors?.find((one): one is Error & { code?: unknown } => one instanceof Error);
    const text = messageWithoutValues(at) || inner?.message;
    if (text && !messages.some((message) => message.includes(text))) messages.push(text);
    cure ??= BY_CODE[String(code ?? inner?.code)] ?? BY_TYPE[String(type)];
  }
  const what = messages.length > 0 ? messages.join(': ') : String(error);
  return cure === undefined ? what : `${what} (${cure})`;
}
