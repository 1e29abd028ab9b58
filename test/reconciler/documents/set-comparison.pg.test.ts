import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { testDatabase } from '../../support/postgres.ts';
import { DocumentsRig, scanAll } from './documents-rig.ts';

// One server for all tests of this file.
await testDatabase();

const id = (place: number): string => String(1601 + place);

describe('the comparison of whole documents, with today’s service', () => {
  test('what today’s service does to values is a warning once, and no difference', async () => {
    const siiraysSql = `UPDATE epsa SET nombre_epsa = '  ' || nombre_epsa || E'\\n';
      UPDATE demografia_cobertura SET poblacion_atendida_ap = 0.12345678901234567890`;
    const rig = await DocumentsRig.start({ epsas: 700, adapter: 'restore', siiraysSql });
    const { rows } = await rig.fastaapsDatabase.query<{ name: string }>(
      `SELECT document #>> '{informacion_general,nombre}' AS name FROM document WHERE id = '1601'`,
    );
    assert.equal(rows[0]!.name, rows[0]!.name.trim(), 'the service trims');
    const { candidates, proven, ranges } = await scanAll(rig.comparison());
    assert.deepEqual([...candidates], []);
    assert.ok(ranges.length > 1, `${ranges.length} ranges`);
    assert.deepEqual(proven, Array.from({ length: 700 }, (_, place) => id(place)).sort());
    const about = (field: string) => rig.warnings.filter((text) => text.includes(` ${field} `));
    assert.equal(about('informacion_general.nombre').length, 1, rig.warnings.join('\n'));
    assert.match(about('informacion_general.nombre')[0]!, /is trimmed \(document \d+, maybe others\)/);
    assert.equal(new Set(rig.warnings).size, rig.warnings.length);
    const some = await scanAll(rig.comparison([id(3), id(1)]));
    assert.deepEqual(some.proven, [id(1), id(3)]);
  });

  test('finds each fault at the side where it is, and a repair makes it right', async () => {
    const rig = await DocumentsRig.start({ epsas: 20, adapter: 'restore' });
    const { sync, fastaapsDatabase } = rig;
    const rename = `UPDATE epsa.epsa SET nombre_epsa = 'new'`;
    await fastaapsDatabase.query(
      `UPDATE document SET document = jsonb_set(document, '{informacion_general,nombre}', '"edited"') WHERE id = $1`,
      [id(0)],
    );
    await fastaapsDatabase.query('DELETE FROM document WHERE id = $1', [id(1)]);
    await fastaapsDatabase.query(
      `INSERT INTO document (collection, db_tag, id, document)
       SELECT 'registro', 'sync', '999', '{"informacion_general":{"id_siirays":999}}'`,
    );
    // The set holds one document twice.
    await fastaapsDatabase.query(
      `INSERT INTO document (collection, db_tag, id, document)
       SELECT collection, db_tag, 'twice', document FROM document WHERE id = $1`,
      [id(2)],
    );
    await sync.query(`UPDATE epsa_sync.document SET hash = '\\x00' WHERE id = $1`, [id(3)]);
    await sync.query(`${rename} WHERE id_epsa = $1`, [id(4)]);
    await sync.query(`${rename} WHERE id_epsa = ANY ($1)`, [[id(5), id(6), id(7)]]);
    await rig.mark(id(5), id(6), id(7));
    await rig.project();
    // One was refused and keeps what was accepted last; of another the accepted document is gone, too.
    await sync.query('DELETE FROM epsa_sync.outbox');
    await sync.query(
      `INSERT INTO epsa_sync.dead_letter (id, epoch, version, reason, path, detail)
       SELECT id, epoch, version, 'refused', 'informacion_general.nombre', '{"reason":"too new"}'
         FROM epsa_sync.document WHERE id = ANY ($1)`,
      [[id(6), id(7)]],
    );
    await fastaapsDatabase.query('DELETE FROM document WHERE id = $1', [id(7)]);

    const comparison = rig.comparison();
    const { candidates, proven } = await scanAll(comparison);
    const kinds = new Map([...candidates.values()].map(({ key, kind }) => [key, kind]));
    assert.deepEqual(
      kinds,
      new Map([
        ...[id(0), id(1), id(2)].map((key) => [key, 'document'] as const),
        ...[id(3), id(4)].map((key) => [key, 'projection'] as const),
        [id(5), 'undelivered'],
        [id(6), 'dead_letter'],
        [id(7), 'document'],
        ['999', 'document'],
      ]),
    );
    assert.equal(proven.length, 20 - 8);
    const looked = await comparison.look([...candidates.values()]);
    assert.deepEqual(new Map(looked.map((one) => [one.key, one])), candidates);
    const described = await comparison.describe(looked);
    const told = (key: string) => {
      const { wrong, path, actual } = described.get(key)!;
      return [wrong, path, actual];
    };
    const name = 'informacion_general.nombre';
    assert.deepEqual(told(id(0)), ['fastaaps', name, '"edited"']);
    assert.deepEqual(told(id(1)), ['fastaaps', null, null]);
    assert.deepEqual(told(id(3)), ['sync', null, '"00"']);
    assert.deepEqual(told('999'), ['fastaaps', null, '{"informacion_general":{"id_siirays":999}}']);
    assert.deepEqual(told(id(4)).slice(0, 2), ['sync', name]);
    assert.deepEqual(told(id(5)).slice(0, 2), ['sync', name]);
    assert.deepEqual(told(id(6)).slice(0, 2), ['fastaaps', name]);
    assert.deepEqual(told(id(7)), ['fastaaps', null, null]);
    assert.ok(described.has(id(2)));

    assert.deepEqual(await comparison.repair(looked), new Map());
    assert.deepEqual(
      (await comparison.look(looked)).filter(({ pending }) => !pending),
      [],
    );
    await rig.deliver();
    assert.deepEqual([...(await scanAll(rig.comparison())).candidates], []);
  });
});
