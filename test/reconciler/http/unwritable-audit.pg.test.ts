import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createLogger } from '../../../src/logging/logger.ts';
import { until } from '../../support/until.ts';
import { startApi } from './api-rig.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const told: object[] = [];
Object.assign(log, { error: (entry: object) => told.push(entry) });

describe('where the audit cannot be written', async () => {
  const { rig, call } = await startApi({ log });

  before(async () => {
    await rig.addDeadLetter('1');
    await rig.pool.query('ALTER TABLE reconciler.audit ADD CONSTRAINT full_up CHECK (false) NOT VALID');
  });

  it('nothing is done that leaves no other record', async () => {
    for (const [method, path] of [
      ['POST', '/connectors/epsa/pause'],
      ['POST', '/dead-letters/1/replay'],
      ['POST', '/dead-letters/replay'],
      ['DELETE', '/dead-letters/1'],
    ] as const) {
      assert.equal((await call(method, path)).status, 500, path);
    }
    assert.deepEqual(await rig.query('SELECT paused FROM :s.checkpoint'), [{ paused: false }]);
    assert.deepEqual(await rig.query('SELECT FROM :s.mark'), []);
    assert.deepEqual(await rig.query('SELECT discarded_at, discarded_by FROM :s.dead_letter'), [
      { discarded_at: null, discarded_by: null },
    ]);
  });

  it('a run that goes on is answered as such: its row tells who asked and who cancelled', async () => {
    told.length = 0;
    const response = await call('POST', '/reconciliations', { json: { connector: 'epsa' } });
    const { id, asker } = (await response.json()) as { id: string; asker: object };
    assert.deepEqual([response.status, asker], [202, { trigger: 'http', name: 'olga' }]);
    await until(async () => (await rig.store.get(id))?.state === 'running', 'the run to begin');
    assert.equal((await call('DELETE', `/reconciliations/${id}`)).status, 202);
    await until(async () => (await rig.store.get(id))?.state === 'cancelled', 'the run to end');
    assert.deepEqual((await rig.store.get(id))?.notes, ['cancelled by olga']);
    assert.deepEqual(
      told.map((entry) => {
        const { event, action, object, actor } = entry as Record<string, unknown>;
        return [event, action, object, actor];
      }),
      [
        ['audit_failed', 'reconciliation.start', id, 'olga'],
        ['audit_failed', 'reconciliation.cancel', id, 'olga'],
      ],
    );
  });
});
