import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { asToday } from '../../../embedded/fastaaps/today-model.ts';
import { loadConnectors } from '../../../src/connector/load.ts';
import { parseJson } from '../../../src/reconciler/documents/json-tree.ts';
import { todayText } from '../../../src/reconciler/documents/today-document.ts';

const { definition, documentSchema } = loadConnectors('connectors').find(({ name }) => name === 'epsa')!;

const text = fc.constantFrom('', ' ', ' a ', 'a\n', '12', ' 12.50 ', '1e3', 'NaN', 'true', 'Ñ', '12a');
const number = fc.constantFrom('0', '-0', '2.50', '12', '-7.9', '1e21', '9007199254740993', '0.1000000000000000055');
const scalar = fc.oneof(
  text.map((one) => JSON.stringify(one)),
  number,
  fc.constantFrom('null', 'true', 'false'),
);
const members = (names: string[]): fc.Arbitrary<string> =>
  fc
    .dictionary(fc.constantFrom(...names), scalar)
    .map((one) => `{${Object.entries(one).map(([name, value]) => `"${name}":${value}`)}}`);
const list = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(item, { maxLength: 3 }).map((items) => `[${items}]`);

/** Documents with every shape and type of field, and values that do not fit. */
const documents = fc
  .record(
    {
      informacion_general: members(['id_siirays', 'nombre', 'web', 'unknown']),
      estatus_juridico: fc.oneof(members(['fecha_resolucion', 'fax']), fc.constant('null')),
      demografia_cobertura: list(members(['localidad', 'poblacion_total', 'poblacion_atendida_ap'])),
      problemas_contaminacion: scalar,
      sistemas_ap: list(scalar),
      otra: scalar,
    },
    { requiredKeys: [] },
  )
  .map((one) => `{${Object.entries(one).map(([name, value]) => `"${name}":${value}`)}}`);

describe('a document as today’s service takes it', () => {
  test('is equal to what today’s service makes of it', () => {
    fc.assert(
      fc.property(documents, (document) => {
        const taken = JSON.stringify(asToday(JSON.parse(document), documentSchema));
        assert.equal(todayText(parseJson(taken), definition), todayText(parseJson(document), definition));
      }),
      { numRuns: 500 },
    );
  });

  test('differs where a value differs', () => {
    const base = '{"informacion_general":{"id_siirays":1,"nombre":"a"},"sistemas_ap":["x"]}';
    for (const other of [
      '{"informacion_general":{"id_siirays":1,"nombre":"b"},"sistemas_ap":["x"]}',
      '{"informacion_general":{"id_siirays":1,"nombre":""},"sistemas_ap":["x"]}',
      '{"informacion_general":{"id_siirays":1},"sistemas_ap":["x"]}',
      '{"informacion_general":{"id_siirays":1,"nombre":"a"},"sistemas_ap":["x","x"]}',
      '{"informacion_general":{"id_siirays":1,"nombre":"a"}}',
    ]) {
      assert.notEqual(todayText(parseJson(other), definition), todayText(parseJson(base), definition), other);
    }
    const same =
      '{"sistemas_ap":["x "],"informacion_general":{"nombre":"a","id_siirays":1.0,"web":null},"tuberias":[]}';
    assert.equal(todayText(parseJson(same), definition), todayText(parseJson(base), definition));
  });

  test('tells which fields it changes', () => {
    const told: string[] = [];
    const document = `{"informacion_general":{"id_siirays":1,"nombre":" a","web":7},
      "demografia_cobertura":[{"poblacion_total":2.5,"poblacion_atendida_ap":2.50},
        {"poblacion_atendida_ap":0.1000000000000000055,"numero_viviendas_ap":"12"}],"sistemas_ap":["x\\n"]}`;
    todayText(parseJson(document), definition, (field, change) => told.push(`${field} ${change}`));
    assert.deepEqual(told, [
      'informacion_general.nombre is trimmed',
      'informacion_general.web is a number that becomes text',
      'demografia_cobertura[].poblacion_total loses its decimals',
      'demografia_cobertura[].poblacion_atendida_ap is rounded',
      'demografia_cobertura[].numero_viviendas_ap is text that becomes a number',
      'sistemas_ap[] is trimmed',
    ]);
  });
});
