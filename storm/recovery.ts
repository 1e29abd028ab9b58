import type { Fault } from './plan.ts';

/** Which figure a kill belongs to: the aims differ. */
const GROUPS: Record<string, string> = {
  producer: 'our processes',
  consumer: 'our processes',
  reconciler: 'our processes',
  kafka: 'broker and PostgreSQL servers',
  siirays: 'broker and PostgreSQL servers',
  postgres: 'broker and PostgreSQL servers',
};

/** Times from a kill until FASTAAPS shows what was committed after it. */
export class Recovery {
  readonly #times = new Map<string, number[]>();

  /** @param ms since the last kill of this fault */
  took(fault: Fault, ms: number): void {
    if (!/^(kill|term)/.test(fault.family) || !('part' in fault)) return;
    const group = GROUPS[fault.part] ?? 'registry, PgBouncer, FASTAAPS';
    this.#times.set(group, [...(this.#times.get(group) ?? []), ms]);
  }

  /** One line a group: how many, the middle, the longest. */
  lines(): string[] {
    return [...this.#times].map(([group, times]) => {
      const sorted = times.toSorted((a, b) => a - b);
      const at = (share: number) => seconds(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!);
      return `from kill to flowing, ${group}: ${sorted.length} times, p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${seconds(sorted.at(-1)!)}`;
    });
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
