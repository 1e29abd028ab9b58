/**
 * The parts of the stack, as .dev/processes.json names them, with the ports that they take where these are free.
 * `siirays` is the PostgreSQL server that stands for SIIRAyS, `postgres` the one for sync, fastaaps and the registry.
 */
export const USUAL_PORTS = {
  siirays: 5432,
  postgres: 5433,
  pgbouncer: 6432,
  kafka: 9092,
  kafkaController: 9093,
  registry: 8080,
  registryManagement: 9000,
  fastaaps: 8000,
  producer: 8081,
  consumer: 8082,
  reconciler: 8090,
  reconcilerHealth: 8083,
};

export type PortName = keyof typeof USUAL_PORTS;
export type Ports = Record<PortName, number>;

export const PART_NAMES = [
  'siirays',
  'postgres',
  'kafka',
  'registry',
  'pgbouncer',
  'fastaaps',
  'producer',
  'consumer',
  'reconciler',
  'traffic',
] as const;

export type PartName = (typeof PART_NAMES)[number];

/** The processes of the pipeline itself: subcommands of the command line. */
export type ProcessName = 'producer' | 'consumer' | 'reconciler';
