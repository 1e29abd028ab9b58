import { Kafka, type KafkaConfig as KafkaJsConfig, logLevel as kafkaLogLevel, type SASLOptions } from 'kafkajs';
import type { Logger } from 'pino';
import type { KafkaConfig } from '../config/types.ts';

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
        // Endless retries are what the client would like; ours end with the pipeline, see above.
        if (message.startsWith('Limiting retries for the idempotent producer')) return;
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
