import { setTimeout as sleep } from 'node:timers/promises';
import type { SizeCase } from './size-rig.ts';

const MIB = 1024 * 1024;

/** As the configuration writes sizes, with room for what surrounds a row's text. */
const sizeOf = (bytes: number): string => `${Math.ceil(bytes / MIB) + 1}MiB`;

/**
 * A row of so many bytes arrives. One above KAFKA_MAX_MESSAGE_BYTES stops the producer before it, with an error that names
 * the setting; with a larger setting it goes on there.
 */
export function largeRow(bytes: number): SizeCase {
  let stopped = false;
  const producer = { KAFKA_MAX_MESSAGE_BYTES: sizeOf(bytes), WRITER_BATCH_BYTES: sizeOf(bytes) };
  return {
    options: {
      settings: { producer, consumer: { KAFKA_MAX_MESSAGE_BYTES: sizeOf(2 * bytes) } },
      kafkaSettings: { 'message.max.bytes': String(4 * bytes), 'replica.fetch.max.bytes': String(4 * bytes) },
      onLog: (name, line) => {
        if (name === 'producer' && line.includes('more than KAFKA_MAX_MESSAGE_BYTES allows')) stopped = true;
      },
    },
    async run(rig) {
      await rig.siirays.query(textOf(bytes));
      await rig.shown();
      await rig.assertEqual();
      await rig.siirays.query(textOf(2 * bytes));
      while (!stopped) await sleep(50);
      await rig.stack.part('producer').stop();
      await rig.raiseTopicLimits(3 * bytes);
      await rig.startProducer({ KAFKA_MAX_MESSAGE_BYTES: sizeOf(2 * bytes) });
      await rig.shown();
      await rig.assertEqual();
      return `a row of ${bytes} bytes, and one of ${2 * bytes} that first stopped the producer`;
    },
  };
}

/** Texts that no compression makes small. */
function textOf(bytes: number): string {
  return `UPDATE epsa SET observacion = (SELECT string_agg(md5(g::text || random()), '') FROM generate_series(1, ${Math.ceil(bytes / 32)}) AS g)
    WHERE id_epsa = (SELECT max(id_epsa) FROM epsa)`;
}
