import { SHARED_KAFKA, SHARED_REGISTRY, startBroker, startRegistry } from '../support/kafka.ts';
import { SHARED_POSTGRES, startTestPostgres } from '../support/postgres.ts';
import { tempDir } from '../support/temp-dir.ts';
import type { Phase } from './phases.ts';

/** The servers that the tests of a run share, each started for the first phase that needs it. */
export class SharedServers {
  readonly #environment: Record<string, string> = {};
  readonly #stops: (() => Promise<void>)[] = [];

  /** Starts what a phase needs; gives the variables that tell its tests. */
  async environmentFor(phase: Phase): Promise<Record<string, string>> {
    if (phase.needs.includes('postgres') && !this.#environment[SHARED_POSTGRES]) await this.#startPostgres();
    if (phase.needs.includes('kafka') && !this.#environment[SHARED_KAFKA]) await this.#startKafka();
    return this.#environment;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#stops.map((stop) => stop()));
  }

  async #startPostgres(): Promise<void> {
    const dir = tempDir('shared-postgres');
    const postgres = await startTestPostgres(dir.path);
    this.#environment[SHARED_POSTGRES] = postgres.url();
    this.#stops.push(async () => {
      await postgres.stop('immediate');
      dir.remove();
    });
  }

  async #startKafka(): Promise<void> {
    const [broker, registry] = await Promise.all([startBroker(), startRegistry()]);
    this.#environment[SHARED_KAFKA] = broker.value.address;
    this.#environment[SHARED_REGISTRY] = registry.value;
    this.#stops.push(broker.stop, registry.stop);
  }
}
