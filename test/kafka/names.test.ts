import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import avro from 'avsc';
import fc from 'fast-check';
import { tableSchemas } from '../../src/kafka/avro-schema.ts';
import { escapeName } from '../../src/kafka/names.ts';
import { topicsFor } from '../../src/kafka/topics.ts';

/** Undoes the escapes from left to right: where this gives every name back, no two share one. */
function unescaped(text: string): string {
  return text.replace(/_x([0-9A-F]{4})_/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** Names that look like escapes, or begin one that the next unit completes. */
const tricky = fc
  .array(fc.constantFrom('_', 'x', '_x', '_x00E9', '_x00E9_', '00E9_', 'é', 'A', '0', '9', ' ', '.', '🦙', 'F'), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => parts.join(''));
const name = fc.oneof(tricky, fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }));

describe('names for Avro and Kafka', () => {
  test('topics are none that Kafka refuses, and two tables have two', () => {
    const long = fc.string({ unit: fc.constantFrom('ñ', ' ', '"', '.', 'a', '_'), minLength: 1, maxLength: 63 });
    const topics = topicsFor('siirays');
    fc.assert(
      fc.property(long, long, long, long, (schema, table, otherSchema, otherTable) => {
        const topic = topics.table(schema, table);
        assert.match(topic, /^[A-Za-z0-9._-]{1,200}$/);
        const other = topics.table(otherSchema, otherTable);
        assert.equal(topic === other, schema === otherSchema && table === otherTable);
        assert.notEqual(topics.table(schema, `${table}x`), topic);
      }),
    );
  });

  test('are valid, and every name can be told from them', () => {
    fc.assert(
      fc.property(name, (text) => {
        const escaped = escapeName(text);
        assert.match(escaped, /^[A-Za-z_][A-Za-z0-9_]*$/);
        assert.equal(unescaped(escaped), text);
      }),
      { numRuns: 2_000 },
    );
  });

  test('stay as they are where nothing is wrong with them', () => {
    for (const plain of ['epsa', 'tipo_sistema_ap', '_x', 'nombre_xls', 'A1']) assert.equal(escapeName(plain), plain);
    assert.equal(escapeName('número'), 'n_x00FA_mero');
    assert.equal(escapeName('2020'), '_x0032_020');
  });

  test('are told apart where the next unit completes what looks like an escape', () => {
    assert.notEqual(escapeName('_x00E9é'), escapeName('éx00E9_'));
  });

  test('of tables make topics of three parts, whatever dots they hold', () => {
    const { table } = topicsFor('siirays');
    assert.notEqual(table('a.b', 'c'), table('a', 'b.c'));
    assert.equal(table('público', 'x y').split('.').length, 3);
  });

  test('of every table give schemas that Avro takes, with any prefix', () => {
    fc.assert(
      fc.property(
        name,
        fc.uniqueArray(name, { maxLength: 4 }),
        fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
        (t, cs, prefix) => {
          const shape = {
            schema: t,
            table: t,
            columns: cs.map((column) => ({ name: column, type: 'text' })),
            key: [],
            fingerprint: 'f',
          };
          const schemas = tableSchemas(topicsFor(prefix).table(t, t), shape);
          avro.Type.forSchema(JSON.parse(schemas.key));
          avro.Type.forSchema(JSON.parse(schemas.value));
        },
      ),
    );
  });
});
