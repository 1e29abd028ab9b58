import type { Logger } from '../logging/logger.ts';
import { type ProofMetricsOptions, readProof } from './runs/run-metrics.ts';

/**
 * Says when the last proof of a connector is older than two periods of its schedule, once, and when it is over. The metric
 * reconciliation_overdue tells the same at each scrape.
 */
export class OverdueAlarm {
  readonly #options: ProofMetricsOptions;
  readonly #log: Logger;
  readonly #overdue = new Set<string>();

  constructor(options: ProofMetricsOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** To be called now and then. @throws PostgreSQL's errors */
  async look(): Promise<void> {
    for (const connector of this.#options.connectors) {
      const { overdue, lastVerdict } = await readProof(connector, this.#options);
      if (overdue === this.#overdue.has(connector)) continue;
      const lastProof = lastVerdict === null ? null : new Date(lastVerdict).toISOString();
      if (overdue) {
        this.#overdue.add(connector);
        this.#log.error(
          { event: 'proof_overdue', connector, lastProof },
          `${connector}: the last verdict on whether both sides are equal is older than two periods of the schedule`,
        );
      } else {
        this.#overdue.delete(connector);
        this.#log.info({ event: 'proof_on_time', connector, lastProof }, `${connector} has a new verdict`);
      }
    }
  }
}
