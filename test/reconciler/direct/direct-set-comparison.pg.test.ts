import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brokenEpsas, loadSample } from '../../../embedded/siirays/sample.ts';
import { loadConnectors } from '../../../src/connector/load.ts';
import type { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { FastaapsError } from '../../../src/fastaaps/errors.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { type DirectRig, directRig, keys, scanned } from './direct-rig.ts';

// One server for all tests of this file.
await testDatabase();

async function todayRig(epsas: number, { broken = false, sql = '' } = {}): Promise<DirectRig> {
  return directRig({
    siiraysUrl: (await testDatabase()).url,
    connector: (siirays) => {
      const epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
      return { ...epsa, target: { ...epsa.target, adapter: 'restore' } };
    },
    fill: async ({ client }) => {
      await loadSample(client, { epsas, broken });
      if (sql !== '') await client.query(sql);
    },
  });
}

const NAME = '{informacion_general,nombre}';

describe('SIIRAyS’s documents against the set of today’s FASTAAPS', () => {
  test('are equal for the whole sample, each document proven once', async (t) => {
    const rig = await todayRig(3_000);
    const started = performance.now();
    const { candidates, proven, compared, total } = await scanned(rig.comparison());
    t.diagnostic(`direct scan of 3,000 EPSAs: ${Math.round(performance.now() - started)} ms`);
    assert.deepEqual(candidates, []);
    assert.equal(new Set(proven).size, 3_000);
    assert.deepEqual([proven.length, compared, total], [3_000, 3_000, 3_000]);
  });

  test('are equal where the service trims and rounds, which is a warning once for each field', async () => {
    const rig = await todayRig(25, {
      sql: `UPDATE epsa SET nombre_epsa = '  ' || nombre_epsa || E'\\n';
        ALTER TABLE demografia_cobertura ALTER poblacion_atendida_ap TYPE numeric;
        UPDATE demografia_cobertura SET poblacion_atendida_ap = 0.12345678901234567890`,
    });
    const { rows } = await rig.stored.query<{ name: string }>(
      `SELECT document #>> '${NAME}' AS name FROM document WHERE id = '1601'`,
    );
    assert.equal(rows[0]!.name, rows[0]!.name.trim(), 'the service trims');
    const { candidates, proven, ranges } = await scanned(rig.comparison({ rangeDocuments: 3 }));
    assert.deepEqual(candidates, []);
    assert.equal(new Set(proven).size, 25);
    assert.equal(ranges.length, 9);
    const about = (change: RegExp) => rig.warnings.filter((warning) => change.test(warning)).length;
    const counts = [/ informacion_general\.nombre is trimmed \(document \d+, maybe others\)$/, / is rounded /].map(
      about,
    );
    assert.deepEqual(counts, [1, 1], rig.warnings.join('\n'));
    assert.equal(new Set(rig.warnings).size, rig.warnings.length);
  });

  test('are found different where a document is edited, missing, surplus or twice in FASTAAPS', async () => {
    const rig = await todayRig(40);
    const { stored, siirays } = rig;
    await stored.query(`UPDATE document SET document = jsonb_set(document, '${NAME}', '"edited"') WHERE id = '1601'`);
    await stored.query(`DELETE FROM document WHERE id = '1602'`);
    await stored.query(`INSERT INTO document (collection, db_tag, id, document)
      SELECT 'registro', 'sync', id, jsonb_build_object('informacion_general', jsonb_build_object('id_siirays', stated))
        FROM (VALUES ('5', '5'::jsonb), ('no root', '"no root"')) AS surplus (id, stated)`);
    await stored.query(`INSERT INTO document (collection, db_tag, id, document)
      SELECT 'registro', 'sync', 'twice', document FROM document WHERE id = '1603'`);
    await stored.query(
      `INSERT INTO document (collection, db_tag, id, document) VALUES ('registro', 'sync', 'none', '{}')`,
    );
    await siirays.client.query('DELETE FROM epsa WHERE id_epsa = 1604');
    await siirays.client.query(`UPDATE problemas_contaminacion SET descripcion = 'otro' WHERE id_epsa = 1605`);
    await siirays.client.query(`INSERT INTO problemas_contaminacion VALUES (99999999, 1605, 'el último')`);

    const comparison = rig.comparison({ rangeDocuments: 7 });
    const found = await scanned(comparison);
    const expected = ['1601', '1602', '1603', '1604', '1605', '5', 'no root'];
    assert.deepEqual(keys(found.candidates), expected);
    assert.deepEqual(
      found.candidates.map(({ kind, pending }) => [kind, pending]),
      expected.map(() => ['document', false]),
    );
    assert.equal(found.proven.length, 39 - 4);
    assert.deepEqual(
      rig.warnings.filter((text) => text.startsWith('FASTAAPS holds a document without')),
      ['FASTAAPS holds a document without informacion_general.id_siirays: it is not compared (passed over)'],
    );
    const looked = await comparison.look(found.candidates);
    assert.deepEqual(looked.toSorted(byKey), found.candidates.toSorted(byKey), 'the same pairs again');

    const described = await comparison.describe(looked);
    const told = (id: string) => {
      const { kind, wrong, documents, since, path, expected, actual } = described.get(id)!;
      assert.deepEqual([kind, wrong, documents, since], ['document', 'fastaaps', [id], null]);
      return [path, expected?.slice(0, 5) ?? null, actual];
    };
    assert.deepEqual(told('1601').toSpliced(1, 1), ['informacion_general.nombre', '"edited"']);
    assert.deepEqual(told('1602'), [null, '{"inf', null]);
    const [path, one, both] = told('1603');
    assert.deepEqual([path, one, both!.slice(0, 6)], [null, '{"inf', '[{"inf']);
    assert.deepEqual(told('1604').slice(0, 2), [null, null]);
    assert.match(told('1605')[0]!, /^problemas_contaminacion(\[|$)/);
    assert.deepEqual(told('5'), [null, null, '{"informacion_general":{"id_siirays":5}}']);

    const reason = 'no root can have this id: FASTAAPS alone can delete the document';
    assert.deepEqual(await comparison.repair(looked), new Map([['no root', reason]]));
    assert.deepEqual(rig.marked.sort(), expected.slice(0, -1));
    await rig.send();
    assert.deepEqual(await comparison.look(looked), [], 'the whole set was sent again');
  });

  test('that lack a required field are dead letters, whether FASTAAPS holds none or an older one', async () => {
    const rig = await todayRig(400, { broken: true });
    const [broken] = brokenEpsas({ epsas: 400 }).map(String);
    const comparison = rig.comparison();
    const check = async (): Promise<void> => {
      const { candidates } = await scanned(comparison);
      assert.deepEqual(
        candidates.map(({ key, kind }) => [key, kind]),
        [[broken, 'dead_letter']],
      );
      assert.deepEqual(await comparison.look(candidates), candidates);
      const described = (await comparison.describe(candidates)).get(broken!)!;
      assert.equal(described.kind, 'dead_letter');
      assert.match(described.path!, /^[a-z_]+(\[\d+\])?\.[a-z_]+$/);
      const reason = `SIIRAyS lacks ${described.path}, which the document requires`;
      assert.deepEqual(await comparison.repair(candidates), new Map([[broken, reason]]));
    };
    await check();
    await rig.stored.query(
      `INSERT INTO document (collection, db_tag, id, document) VALUES ('registro', 'sync', $1::text,
         jsonb_build_object('informacion_general', jsonb_build_object('id_siirays', $1::text::integer)))`,
      [broken],
    );
    await check();
    assert.deepEqual(rig.marked, []);
  });

  test('have another pair when either side changes', async () => {
    const rig = await todayRig(5);
    const edit = (name: string) =>
      rig.stored.query(
        `UPDATE document SET document = jsonb_set(document, '${NAME}', to_jsonb($1::text)) WHERE id = '1603'`,
        [name],
      );
    await edit('A');
    const comparison = rig.comparison();
    const [first] = (await scanned(comparison)).candidates;
    await edit(' A ');
    assert.deepEqual(await comparison.look([first!]), [first], 'the same in another form');
    await edit('B');
    const [second] = await comparison.look([first!]);
    assert.notEqual(second!.pair, first!.pair);
    await rig.siirays.client.query(`UPDATE epsa SET nombre_epsa = 'C' WHERE id_epsa = 1603`);
    const [third] = await comparison.look([second!]);
    assert.notEqual(third!.pair, second!.pair);
    await edit('C');
    assert.deepEqual(await comparison.look([third!]), [], 'equal by now');
    assert.deepEqual(await comparison.look([]), []);
  });

  test('are found different in any part of a scan that is resumed', async () => {
    const rig = await todayRig(20);
    await rig.stored.query(
      `UPDATE document SET document = jsonb_set(document, '${NAME}', '"x"') WHERE id IN ('1601', '1619')`,
    );
    await rig.stored.query(`INSERT INTO document (collection, db_tag, id, document)
      SELECT 'registro', 'sync', id, jsonb_build_object('informacion_general', jsonb_build_object('id_siirays', id))
        FROM (SELECT n::text AS id FROM generate_series(10001, 11300) AS n) AS surplus`);
    const comparison = rig.comparison({ rangeDocuments: 6 });
    const whole = await scanned(comparison);
    assert.equal(whole.candidates.length, 1_302);
    assert.equal(whole.ranges.length, 4 + 2);
    const left = new Set(keys(whole.candidates));
    for (const { keys: found, cursor } of whole.ranges) {
      for (const key of found) left.delete(key);
      assert.deepEqual(keys((await scanned(comparison, cursor)).candidates), [...left]);
    }
    assert.equal(left.size, 0);
  });

  test('are compared for some ids only, whatever texts these are', async () => {
    const rig = await todayRig(12);
    await rig.stored.query(
      `UPDATE document SET document = jsonb_set(document, '${NAME}', '"x"') WHERE id IN ('1601', '1605')`,
    );
    await rig.stored.query(`INSERT INTO document (collection, db_tag, id, document)
      VALUES ('registro', 'sync', 'abc', '{"informacion_general":{"id_siirays":"abc"}}')`);
    const ids = ['1605', '1606', 'abc', 'nowhere', '01607', '99999999999999999999', '1606'];
    const { candidates, proven, total } = await scanned(rig.comparison({ ids }));
    assert.deepEqual(keys(candidates), ['1605', 'abc']);
    assert.deepEqual([proven, total], [['1606'], 6]);
  });

  test('are asked for again where FASTAAPS fails for a moment, and no session is left', async () => {
    const rig = await todayRig(3);
    let asked = 0;
    async function* broken() {
      yield '{}';
      throw new FastaapsError('retry', 'the connection broke');
    }
    const getSet: FastaapsClient['getSet'] = async (...args) => {
      asked += 1;
      return asked === 1 ? { position: null, documents: broken() } : rig.fastaaps.getSet(...args);
    };
    const fastaaps = Object.create(rig.fastaaps, { getSet: { value: getSet } }) as FastaapsClient;
    const { candidates, proven } = await scanned(rig.comparison({ fastaaps }));
    assert.deepEqual([candidates, proven.length, asked], [[], 3, 2]);
    await until(async () => (await rig.sessions()) === 0, 'the end of the session in sync');
  });
});

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : 1;
}
