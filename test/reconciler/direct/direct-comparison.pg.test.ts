import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brokenEpsas, loadSample } from '../../../embedded/siirays/sample.ts';
import type { CompiledConnector } from '../../../src/connector/compiled.ts';
import { loadConnectors } from '../../../src/connector/load.ts';
import type { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { connect, disconnect } from '../../../src/postgres/session.ts';
import { SiiraysReader } from '../../../src/reconciler/siirays-reader.ts';
import type { SiiraysDatabase } from '../../connector/siirays-database.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { type DirectRig, directRig, keys, otherDatabase, scanned } from './direct-rig.ts';

// One server for all tests of this file.
await testDatabase();

function epsa(siirays: SiiraysDatabase): CompiledConnector {
  return loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
}

async function sampleRig(epsas: number, broken = false): Promise<DirectRig> {
  return directRig({
    siiraysUrl: (await testDatabase()).url,
    connector: epsa,
    fill: (siirays) => loadSample(siirays.client, { epsas, broken }),
  });
}

describe('SIIRAyS’s documents against FASTAAPS', () => {
  test('are equal for the whole sample, each document proven once', async (t) => {
    const rig = await sampleRig(3_000);
    const started = performance.now();
    const { candidates, proven, compared, total } = await scanned(rig.comparison());
    t.diagnostic(`direct scan of 3,000 EPSAs: ${Math.round(performance.now() - started)} ms`);
    assert.deepEqual(candidates, []);
    assert.equal(new Set(proven).size, 3_000);
    assert.deepEqual([proven.length, compared, total], [3_000, 3_000, 3_000]);
  });

  test('are found different where a document is edited, missing or surplus in FASTAAPS', async () => {
    const rig = await sampleRig(700);
    const { stored, siirays } = rig;
    const text = async (id: number, sql: string) => stored.query(`UPDATE document SET ${sql} WHERE id = $1`, [id]);
    await text(1601, `document = jsonb_set(document, '{informacion_general,nombre}', '"otra"')`);
    await text(2250, `document = jsonb_set(document, '{sistemas_ap}', '["x"]')`);
    await text(1700, `document = jsonb_set(document, '{informacion_general,id_siirays}', '1701')`);
    await stored.query('DELETE FROM document WHERE id = $1', ['2222']);
    await text(2223, 'document = NULL');
    const surplus = `INSERT INTO document (collection, db_tag, id, document) VALUES ('registro', 'sync', $1, '{"a": 1}')`;
    for (const id of ['5', '999999', 'not a number', 'Ω']) await stored.query(surplus, [id]);
    await siirays.client.query('DELETE FROM epsa WHERE id_epsa = 1800');
    await siirays.client.query(`UPDATE problemas_contaminacion SET descripcion = 'otro' WHERE id_epsa = 1900`);
    await siirays.client.query(`INSERT INTO problemas_contaminacion VALUES (99999999, 1900, 'el último')`);

    const comparison = rig.comparison();
    const found = await scanned(comparison);
    const expected = ['1601', '1700', '1800', '1900', '2222', '2223', '2250', '5', '999999', 'not a number', 'Ω'];
    // 1701 is stated by two documents: asked for by its id, it is equal.
    assert.deepEqual(keys(found.candidates), expected.sort());
    assert.equal(found.proven.length, 699 - 6);
    const looked = await comparison.look(found.candidates);
    assert.deepEqual(looked.toSorted(byKey), found.candidates.toSorted(byKey), 'the same pairs again');

    const described = await comparison.describe(looked);
    const place = (id: string) => {
      const { kind, path, expected, actual, wrong, documents } = described.get(id)!;
      assert.deepEqual([kind, wrong, documents], ['document', 'fastaaps', [id]]);
      return [path, expected === null ? null : expected.slice(0, 5), actual];
    };
    assert.equal(described.get('1601')!.since, '1');
    assert.deepEqual(place('1601').slice(0, 1).concat(place('1601')[2]!), ['informacion_general.nombre', '"otra"']);
    assert.deepEqual(place('1700'), ['informacion_general.id_siirays', '1700', '1701']);
    assert.deepEqual(place('999999'), [null, null, '{"a":1}']);
    assert.deepEqual(place('2222'), [null, '{"inf', null]);
    assert.equal(described.get('1900')!.path, 'problemas_contaminacion');
    assert.equal(described.get('1900')!.expected, '"el último"');

    const impossible = ['not a number', 'Ω'];
    const reasons = await comparison.repair(looked);
    assert.deepEqual([...reasons.keys()].sort(), impossible);
    for (const reason of reasons.values()) assert.match(reason, /^no root can have this id/);
    assert.deepEqual(
      rig.marked.sort(),
      expected.filter((id) => !impossible.includes(id)),
    );
    assert.deepEqual(rig.warnings, []);
  });

  test('are equal where numbers differ in their digits only, and members in their order', async () => {
    const rig = await sampleRig(20);
    await rig.siirays.client.query(
      `UPDATE tecnica_tuberia SET longitud_total = CASE id_tecnica_tuberia % 3 WHEN 0 THEN 2.50 WHEN 1 THEN 100 ELSE 0 END`,
    );
    await rig.send();
    const before = await rig.stored.query<{ n: string }>(
      `SELECT count(*) AS n FROM document WHERE document::text ~ '2\\.50'`,
    );
    assert.ok(Number(before.rows[0]!.n) > 0);
    await rig.stored.query(
      `UPDATE document SET document = replace(replace(replace(document::text, ' 2.50', ' 2.5'), ' 100.00', ' 1e2'), ' 0.00', ' 0')::jsonb`,
    );
    const comparison = rig.comparison();
    assert.deepEqual((await scanned(comparison)).candidates, []);
    // In a text the same digits are another text.
    await rig.siirays.client.query(`UPDATE epsa SET observacion = '": 2.50, x' WHERE id_epsa = 1605`);
    await rig.send(['1605']);
    await rig.stored.query(
      `UPDATE document SET document = jsonb_set(document, '{informacion_general,observacion}', '"\\": 2.5, x"') WHERE id = '1605'`,
    );
    const { candidates } = await scanned(comparison);
    assert.deepEqual(keys(candidates), ['1605']);
    assert.deepEqual(keys(await comparison.look(candidates)), ['1605']);
  });

  test('of another encoding and collation give no false difference', async () => {
    const rig = await directRig({
      siiraysUrl: await otherDatabase(`ENCODING 'LATIN1' LOCALE 'C'`),
      connector: epsa,
      fill: async ({ client }) => {
        await client.query(
          `INSERT INTO epsa (id_epsa, nombre_epsa) SELECT n, 'Cañería Única ½ ' || n FROM generate_series(1601, 2200) AS n`,
        );
        await client.query(`INSERT INTO ingresos (id_ingresos, id_epsa, monto, observacion, id_tipo_ingreso, id_periodo_pago)
          SELECT n, n, n * 1.50, 'ñandú «' || n || '» ÿ', 1, 1 FROM generate_series(1601, 2200) AS n`);
        await client.query(`INSERT INTO tipo_ingreso (id_tipo_ingreso, concepto) VALUES (1, 'Cuota fija: único')`);
        await client.query(`INSERT INTO periodo_pago (id_periodo_pago, periodo_pago) VALUES (1, 'año')`);
      },
    });
    const comparison = rig.comparison();
    assert.deepEqual((await scanned(comparison)).candidates, []);
    await rig.stored.query(
      `INSERT INTO document (collection, db_tag, id, document) VALUES ('registro', 'sync', 'Ω', '{}')`,
    );
    await rig.stored.query(
      `UPDATE document SET document = replace(document::text, 'Cañería', 'Caneria')::jsonb WHERE id = '1700'`,
    );
    const { candidates } = await scanned(comparison);
    assert.deepEqual(keys(candidates), ['1700', 'Ω']);
    assert.deepEqual(keys(await comparison.look(candidates)), ['1700', 'Ω']);
  });

  test('that lack a required field are dead letters, and nothing is asked for', async () => {
    const rig = await sampleRig(400, true);
    const [broken] = brokenEpsas({ epsas: 400 }).map(String);
    const comparison = rig.comparison();
    const { candidates } = await scanned(comparison);
    assert.deepEqual(keys(candidates), [broken]);
    assert.equal(candidates[0]!.kind, 'dead_letter');
    const described = (await comparison.describe(candidates)).get(broken!)!;
    assert.equal(described.kind, 'dead_letter');
    assert.match(described.path!, /^[a-z_]+(\[\d+\])?\.[a-z_]+$/);
    const reasons = await comparison.repair(candidates);
    assert.equal(reasons.get(broken!), `SIIRAyS lacks ${described.path}, which the document requires`);
    assert.deepEqual(rig.marked, []);
  });

  test('have another pair when a version, or a value back and forth, changes', async () => {
    const rig = await sampleRig(10);
    const { stored } = rig;
    await stored.query(`UPDATE document SET document = jsonb_set(document, '{tecnicas_as}', '"A"') WHERE id = '1603'`);
    const comparison = rig.comparison();
    const [first] = (await scanned(comparison)).candidates;
    assert.deepEqual(await comparison.look([first!]), [first]);
    await stored.query(`UPDATE document SET version = version + 1 WHERE id = '1603'`);
    const [second] = await comparison.look([first!]);
    assert.notEqual(second!.pair, first!.pair);
    await stored.query(`UPDATE document SET epoch = epoch + 1 WHERE id = '1603'`);
    const [third] = await comparison.look([first!]);
    assert.notEqual(third!.pair, second!.pair);
    await rig.siirays.client.query(`UPDATE epsa SET nombre_epsa = 'B' WHERE id_epsa = 1603`);
    const [fourth] = await comparison.look([first!]);
    assert.notEqual(fourth!.pair, third!.pair);
    await stored.query(`UPDATE document SET epoch = 1 WHERE id = '1603'`);
    await rig.send(['1603']);
    assert.deepEqual(await comparison.look([first!]), [], 'equal by now');
    assert.deepEqual(await comparison.look([]), []);
  });

  test('are found different in any part of a scan that is resumed', async () => {
    const rig = await sampleRig(1_100);
    await rig.stored.query(
      `UPDATE document SET document = document || '{"web": "x"}' WHERE id IN ('1601', '2200', '2700')`,
    );
    await rig.stored.query(`INSERT INTO document (collection, db_tag, id, document)
      SELECT 'registro', 'sync', id, jsonb_build_object('informacion_general', jsonb_build_object('id_siirays', id))
        FROM (SELECT 'surplus ' || n AS id FROM generate_series(1, 1300) AS n) AS surplus`);
    const whole = await scanned(rig.comparison());
    assert.equal(whole.candidates.length, 1_303);
    assert.ok(whole.ranges.length > 3);
    const comparison = rig.comparison();
    const left = new Set(keys(whole.candidates));
    for (const { keys: found, cursor } of whole.ranges) {
      for (const key of found) left.delete(key);
      assert.deepEqual(keys((await scanned(comparison, cursor)).candidates), [...left]);
    }
    assert.equal(left.size, 0);
  });

  test('are compared for some ids only, whatever texts these are', async () => {
    const rig = await sampleRig(700);
    await rig.stored.query(`UPDATE document SET document = '{}' WHERE id IN ('1601', '1700')`);
    await rig.stored.query(
      `INSERT INTO document (collection, db_tag, id, document) VALUES ('registro', 'sync', 'abc', '{}')`,
    );
    const few = ['1700', '1701', 'abc', 'nowhere', '01702', '99999999999999999999', '1701'];
    const { candidates, proven, unknown } = await scanned(rig.comparison({ ids: few }));
    assert.deepEqual(keys(candidates), ['1700', 'abc']);
    assert.deepEqual(proven, ['1701']);
    assert.deepEqual(unknown.sort(), ['01702', '99999999999999999999', 'nowhere']);
    // One that was there is known: nothing on either side is what it should be.
    await rig.siirays.client.query(`DELETE FROM epsa WHERE id_epsa = 1701`);
    await rig.send(['1701']);
    const gone = await scanned(rig.comparison({ ids: ['1701'] }));
    assert.deepEqual([keys(gone.candidates), gone.unknown], [[], []]);
    const many = Array.from({ length: 650 }, (_, at) => String(1602 + at));
    const more = await scanned(rig.comparison({ ids: many }));
    assert.deepEqual(keys(more.candidates), ['1700']);
    assert.deepEqual([more.proven.length, more.total, more.ranges.length], [648, 650, 2]);
  });

  test('are settled by value when many are suspect, from one reading of the set', async () => {
    const rig = await sampleRig(450);
    await rig.stored.query(`UPDATE document SET document = document || '{"web": "x"}' WHERE id::int % 2 = 0`);
    const comparison = rig.comparison();
    const { candidates } = await scanned(comparison);
    assert.equal(candidates.length, 225);
    await rig.send(keys(candidates).slice(0, 100));
    const left = await comparison.look(candidates);
    assert.deepEqual(keys(left), keys(candidates).slice(100));
    assert.deepEqual([...(await comparison.describe(left)).values()].map(({ path, actual }) => [path, actual])[7], [
      'web',
      '"x"',
    ]);
  });

  test('end with the signal’s reason wherever a scan is, and leave no session', async () => {
    const rig = await sampleRig(30);
    const none = async (): Promise<boolean> => (await rig.sessions()) === 0;
    const between = new AbortController();
    const scan = rig.comparison().scan(null, between.signal);
    await scan.next();
    between.abort(new Error('cancelled by anna'));
    await assert.rejects(async () => scan.next(), /^Error: cancelled by anna$/);
    await until(none, 'the end of the session in sync');

    const within = new AbortController();
    async function* broken() {
      yield '{}';
      within.abort(new Error('cancelled by eva'));
      throw new Error('the connection broke');
    }
    const fastaaps = Object.create(rig.fastaaps, {
      getSet: { value: async () => ({ position: null, documents: broken() }) },
      getVersions: { value: rig.fastaaps.getVersions.bind(rig.fastaaps) },
    }) as FastaapsClient;
    const cut = rig.comparison({ fastaaps }).scan(null, within.signal);
    await assert.rejects(async () => cut.next(), /^Error: cancelled by eva$/);
    await until(none, 'the end of the session in sync');
  });

  test('end with SIIRAyS’s error where it cannot be read, without waiting for FASTAAPS', async () => {
    const rig = await sampleRig(5);
    const locker = await connect({ connectionString: rig.siiraysUrl });
    await locker.query('BEGIN; LOCK TABLE localidad IN ACCESS EXCLUSIVE MODE');
    const signal = new AbortController().signal;
    const siirays = new SiiraysReader({ url: rig.siiraysUrl, lockTimeoutMs: 20, share: 1, signal });
    await assert.rejects(async () => rig.comparison({ siirays }).scan(null, signal).next(), { code: '55P03' });
    await until(async () => (await rig.sessions()) === 0, 'the end of the session in sync');
    await disconnect(locker);
    await siirays.close();
  });
});

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : 1;
}
