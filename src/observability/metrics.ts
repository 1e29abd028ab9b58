/**
 * One Prometheus registry per process. Names start with siirays_sync_, units are base units (seconds, bytes), as
 * the Prometheus naming rules ask. Each part makes its own metrics beside its code: `new Counter({..., registers:
 * [metrics.registry]})`.
 */
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { HealthState } from './health.ts';

/** What every metric's name starts with. */
export const METRICS_PREFIX = 'siirays_sync_';

/** A registry with Node's default metrics, labelled with the process's name (`producer`, `consumer`). */
export function createMetrics(processName: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ process: processName });
  collectDefaultMetrics({ register: registry, prefix: METRICS_PREFIX });
  return registry;
}

/** Gauges of health, read at each scrape: live, ready, and one per part. */
export function registerHealthMetrics(registry: Registry, health: HealthState): void {
  new Gauge({
    name: `${METRICS_PREFIX}live`,
    help: '1 while the main loop moves.',
    registers: [registry],
    collect() {
      this.set(health.isLive() ? 1 : 0);
    },
  });
  new Gauge({
    name: `${METRICS_PREFIX}ready`,
    help: '1 while every part of the process is able to work.',
    registers: [registry],
    collect() {
      this.set(health.isReady() ? 1 : 0);
    },
  });
  new Gauge({
    name: `${METRICS_PREFIX}part_ready`,
    help: '1 while the named part is able to work.',
    labelNames: ['part'],
    registers: [registry],
    collect() {
      for (const [part, state] of health.parts()) this.set({ part }, state.ok ? 1 : 0);
    },
  });
}

/** Of several processes that could do the same work: 1 for the one that does it, 0 for one that stands by. Starts at 0. */
export function createActivityGauge(registry: Registry): Gauge {
  return new Gauge({
    name: `${METRICS_PREFIX}active`,
    help: '1 while this process does the work, 0 while it stands by for another one, or has not begun.',
    registers: [registry],
  });
}
