import { connect, disconnect } from '../../src/postgres/session.ts';
import type { SizeCase, SizeRig } from './size-rig.ts';

/** Statements of one request; a row each, and a transaction each. */
const AT_ONCE = 200;

/** FASTAAPS is down while so many transactions are committed: an hour of them at 50 a second is 180,000. */
export function backlog(transactions: number): SizeCase {
  return {
    options: { epsas: 3_000 },
    async run(rig) {
      await rig.stack.part('fastaaps').stop();
      const started = performance.now();
      await commit(rig, transactions);
      const seconds = (performance.now() - started) / 1000;
      await rig.stack.start('fastaaps');
      const up = performance.now();
      await rig.shown();
      const caughtUp = (performance.now() - up) / 1000;
      await rig.assertEqual();
      return `${transactions} transactions in ${seconds.toFixed(0)} s while FASTAAPS was down, all shown ${caughtUp.toFixed(1)} s after it was up`;
    },
  };
}

async function commit(rig: SizeRig, transactions: number): Promise<void> {
  const { rows } = await rig.siirays.query<{ id: number }>('SELECT id_epsa AS id FROM epsa ORDER BY 1');
  const client = await connect({ connectionString: rig.stack.endpoints.siirays });
  try {
    for (let done = 0; done < transactions; done += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, transactions - done) }, (_, i) => done + i);
      const statements = some.map(
        (n) => `UPDATE epsa SET fax = '${n}' WHERE id_epsa = ${rows[n % rows.length]!.id}; COMMIT`,
      );
      await client.query(statements.join(';'));
    }
  } finally {
    await disconnect(client);
  }
}
