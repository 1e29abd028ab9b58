import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../../src/postgres/identifier.ts';
import {
  connect,
  disconnect,
  setLocal,
  startupOptions,
  TEXT_VALUES,
  VALUE_SETTINGS,
} from '../../src/postgres/session.ts';
import { testDatabase } from '../support/postgres.ts';

const database = await testDatabase();
/** Below the 63 bytes at which PostgreSQL cuts a name. */
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 15 }).map((t) => t.replaceAll('\0', '"'));

describe('names, texts and settings in SQL', () => {
  let client: pg.Client;

  before(async () => {
    client = await connect({ connectionString: database.url, types: TEXT_VALUES });
  });
  after(async () => {
    await disconnect(client);
  });

  test('a name is taken as it is', async () => {
    await fc.assert(
      fc.asyncProperty(text, async (name) => {
        const { fields } = await client.query(`SELECT 1 AS ${quoteIdentifier(name)}`);
        assert.equal(fields[0]!.name, name);
      }),
      { numRuns: 100 },
    );
    await client.query(`CREATE SCHEMA "a.b"; CREATE TABLE ${quoteRelation('a.b', 'c"d')} (x int)`);
    const { rows } = await client.query(`SELECT relname FROM pg_class WHERE relname = 'c"d'`);
    assert.equal(rows.length, 1);
  });

  test('a text is taken as it is, whatever standard_conforming_strings says', async () => {
    for (const conforming of ['on', 'off']) {
      await client.query(`SET standard_conforming_strings = ${conforming}; SET escape_string_warning = off`);
      await fc.assert(
        fc.asyncProperty(fc.oneof(text, fc.constantFrom('\\', "'", "\\'", "a\\'; DROP", '$1')), async (value) => {
          const { rows } = await client.query<{ v: string }>(`SELECT ${quoteLiteral(value)}::text AS v`);
          assert.equal(rows[0]!.v, value);
        }),
        { numRuns: 100 },
      );
    }
  });

  const odd = {
    DateStyle: 'SQL, DMY',
    IntervalStyle: 'iso_8601',
    TimeZone: 'America/La_Paz',
    extra_float_digits: '-5',
    bytea_output: 'escape',
  };
  const values = `SELECT '2010-02-24'::date, '1 day 02:00'::interval, '2010-02-24 12:00+00'::timestamptz,
    0.1::float8 + 0.2::float8, '\\xdead'::bytea`;
  const pinned = [['2010-02-24', '1 day 02:00:00', '2010-02-24 12:00:00+00', '0.30000000000000004', '\\xdead']];

  test("the values' settings hold whatever the database says, at the start of a session and in a transaction", async () => {
    for (const [name, value] of Object.entries(odd)) {
      await client.query(`ALTER DATABASE ${database.name} SET ${name} = ${quoteLiteral(value)}`);
    }
    const first = await connect({
      connectionString: database.url,
      types: TEXT_VALUES,
      options: startupOptions(VALUE_SETTINGS),
    });
    assert.deepEqual((await first.query({ text: values, rowMode: 'array' })).rows, pinned);
    await disconnect(first);

    const second = new pg.Client({ connectionString: database.url, types: TEXT_VALUES });
    await second.connect();
    assert.notDeepEqual((await second.query({ text: values, rowMode: 'array' })).rows, pinned);
    await second.query(`BEGIN; ${setLocal(VALUE_SETTINGS)}`);
    assert.deepEqual((await second.query({ text: values, rowMode: 'array' })).rows, pinned);
    await second.end();
  });
});
