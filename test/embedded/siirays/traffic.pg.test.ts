import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { loadSample } from '../../../embedded/siirays/sample.ts';
import { createPrng } from '../../../embedded/siirays/sample-prng.ts';
import { randomTransaction, readWorld, runTraffic } from '../../../embedded/siirays/traffic.ts';
import { TRANSACTION_KINDS, transaction } from '../../../embedded/siirays/traffic-transactions.ts';
import { disconnect } from '../../../src/postgres/session.ts';
import { until } from '../../support/until.ts';
import { emptySiirays, fingerprint, lackingCatalogueTexts, lackingEpsas, openFundings } from './siirays-database.ts';

async function smallSiirays() {
  const siirays = await emptySiirays();
  await loadSample(siirays.client, { epsas: 120 });
  return siirays;
}

const { client, url } = await smallSiirays();
after(() => disconnect(client));

describe('traffic', () => {
  it('plays every kind of transaction; each changes something, but for the one that is rolled back', async () => {
    const world = await readWorld(client);
    for (const kind of TRANSACTION_KINDS) {
      const before = await fingerprint(client);
      let rows = 0;
      for (let turn = 0; turn < 6; turn++) {
        const result = await transaction(client, createPrng(5, turn), kind, world);
        assert.equal(result.kind, kind);
        assert.equal(result.committed, kind !== 'rollback');
        rows += result.rows;
      }
      assert.ok(rows > 0, kind);
      assert.equal((await fingerprint(client)) === before, kind === 'rollback', kind);
    }
  });

  it('leaves no document without a required field, and no choice open', async () => {
    for (let turn = 0; turn < 500; turn++) await randomTransaction(client, createPrng(9, turn));
    assert.deepEqual(await lackingEpsas(client), []);
    assert.equal(await lackingCatalogueTexts(client), 0);
    assert.equal(await openFundings(client), 0);
  });

  it('is the same for the same seed on the same content', async () => {
    const fingerprints: string[] = [];
    for (let copy = 0; copy < 2; copy++) {
      const siirays = await smallSiirays();
      await runTraffic({ url: siirays.url, rate: 1000, seed: 3, durationMs: 150, connections: 1 });
      fingerprints.push(await fingerprint(siirays.client));
      await disconnect(siirays.client);
    }
    assert.equal(fingerprints[0], fingerprints[1]);
  });

  it('keeps the rate over several connections and ends with the duration', async () => {
    const start = performance.now();
    const { committed, rolledBack, failed, rows } = await runTraffic({ url, rate: 100, durationMs: 1000 });
    const seconds = (performance.now() - start) / 1000;
    assert.equal(committed + rolledBack + failed, 100);
    assert.ok(committed > 80 && rows > committed, `${committed} ${rows}`);
    assert.ok(seconds > 0.9 && seconds < 5, String(seconds));
    assert.deepEqual(await lackingEpsas(client), []);
    assert.equal(await openFundings(client), 0);
  });

  it('ends with the signal and goes on after a lost connection', async () => {
    const ending = new AbortController();
    let done = 0;
    const traffic = runTraffic({ url, rate: 200, onTransaction: () => done++ }, ending.signal);
    await until(() => done > 20, 'traffic');
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'traffic' AND datname = current_database()`,
    );
    const lost = done;
    await until(() => done > lost + 20, 'traffic after the connections were lost');
    ending.abort();
    const result = await traffic;
    assert.ok(result.failed >= 1);
  });

  it('rejects with an error that will not pass', async () => {
    const siirays = await smallSiirays();
    await siirays.client.query('DROP TABLE epsa');
    await assert.rejects(runTraffic({ url: siirays.url, rate: 500 }), { code: '42P01' });
    await disconnect(siirays.client);
  });
});
