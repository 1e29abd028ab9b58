import { setTimeout as sleep } from 'node:timers/promises';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { insertOf } from './large-transaction.ts';
import type { SizeCase, SizeRig } from './size-rig.ts';

/** A first load of so many rows, whose producer and consumer are killed half-way; each goes on where it was. */
export function killedSnapshot(rows: number): SizeCase {
  let asked = 0;
  const onLog = (_name: string, line: string): void => {
    if (line.includes('"event":"request_accepted"') || line.includes('"event":"history_broken"')) asked++;
  };
  return {
    options: { epsas: 1_000, without: ['producer', 'consumer', 'reconciler'], onLog },
    async run(rig) {
      await rig.siirays.query(insertOf(rows));
      await rig.stack.start('producer');
      await rig.stack.start('consumer');
      const half = await staged(rig, rows / 2);
      rig.stack.kill('producer', 'SIGKILL');
      rig.stack.kill('consumer', 'SIGKILL');
      await rig.stack.firstLoad();
      await rig.shown();
      await rig.assertEqual();
      if (asked !== 1) throw new Error(`${asked} snapshots were asked for: it did not go on where it was`);
      return `a snapshot of ${rows} rows, killed at ${half}`;
    },
  };
}

/** Waits until the staging copy has taken so many rows, committed or not; gives how many. */
async function staged(rig: SizeRig, least: number): Promise<number> {
  const sync = await connect({ connectionString: rig.stack.endpoints.sync });
  try {
    for (;;) {
      const { rows } = await sync.query<{ n: string }>(
        `SELECT coalesce(sum(n_tup_ins), 0)::text AS n FROM pg_stat_user_tables
          WHERE schemaname = 'epsa_staging' AND relname = 'problemas_contaminacion'`,
      );
      const there = Number(rows[0]!.n);
      if (there >= least) return there;
      await sleep(50);
    }
  } finally {
    await disconnect(sync);
  }
}
