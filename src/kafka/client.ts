import { Kafka, type KafkaConfig as KafkaJsConfig, logLevel as kafkaLogLevel, type SASLOptions } from 'kafkajs';
import type { Logger } from 'pino';
import type { KafkaConfig } from '../config/types.ts';

/** Advice that does not apply: our retries end with the pipeline, and every topic has one partition. */
const NOT_OURS = ['Limiting retries for the idempotent producer', 'KafkaJS v2.0.0 switched default partitioner'];

/** What is common to all connections to Kafka. kafkajs stays behind this folder, so that it can be replaced. */
export function createKafka(config: KafkaConfig, log: Logger): Kafka {
  return new Kafka({
    clientId: config.clientId,
    brokers: config.brokers,
    ...tls(config),
    ...(config.sasl ? { sasl: config.sasl as SASLOptions } : {}),
    connectionTimeout: 3_000,
    authenticationTimeout: 5_000,
    requestTimeout: 20_000,
    enforceRequestTimeout: true,
    // Retries are short: whatever fails longer ends the pipeline, which starts again with new client objects.
    retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: 6 },
    logLevel: kafkaLogLevel.WARN,
    logCreator:
      () =>
      ({ level, namespace, log: { message, error } }) => {
        if (NOT_OURS.some((text) => message.startsWith(text))) return;
        // The client reports retries as errors; our own pipeline decides what is one.
        const write = level <= kafkaLogLevel.WARN ? log.warn.bind(log) : log.debug.bind(log);
        write({ event: 'kafka_client', namespace, error }, message);
      },
  });
}

function tls(config: KafkaConfig): Pick<KafkaJsConfig, 'ssl'> {
  if (config.ssl === undefined) return {};
  if (config.ssl === true) return { ssl: true };
  const { ca, cert, key } = config.ssl;
  return { ssl: { ...(ca ? { ca: [ca] } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) } };
}
