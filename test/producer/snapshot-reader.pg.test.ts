import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { connect, disconnect, TEXT_VALUES } from '../../src/postgres/session.ts';
import {
  ChunkReader,
  type ChunkReaderOptions,
  currentSnapshot,
  type Range,
  TableNotPublished,
  TableTooNew,
  UnfitKeys,
} from '../../src/producer/chunk-reader.ts';
import { readWhole } from '../../src/producer/chunk-rows.ts';
import { nextXid, PublicationStart } from '../../src/producer/publication-start.ts';
import { readCatalog } from '../../src/producer/table-catalog.ts';
import { TableEras } from '../../src/producer/table-eras.ts';
import { sees } from '../../src/producer/xid-snapshot.ts';
import { testDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { valuesOf } from './pgoutput-messages.ts';

const SCHEMA = `
  CREATE TABLE doble (v text, b integer, a text COLLATE "C", PRIMARY KEY (a, b));
  CREATE TABLE texto (id text PRIMARY KEY, n integer);
  CREATE TABLE sin_clave (a integer, b text);
  ALTER TABLE sin_clave REPLICA IDENTITY FULL;
  CREATE TABLE por_indice (id integer PRIMARY KEY, código text NOT NULL, CONSTRAINT u UNIQUE (código));
  ALTER TABLE por_indice REPLICA IDENTITY USING INDEX u;
  CREATE TABLE nada (id integer PRIMARY KEY);
  ALTER TABLE nada REPLICA IDENTITY NOTHING;
  CREATE TABLE diferida (id integer PRIMARY KEY DEFERRABLE, v text);
  ALTER TABLE diferida REPLICA IDENTITY FULL;
  CREATE TABLE partida (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
  CREATE TABLE partida_1 PARTITION OF partida FOR VALUES FROM (0) TO (5);
  CREATE TABLE partida_2 PARTITION OF partida FOR VALUES FROM (5) TO (100);
  CREATE TABLE padre (id integer PRIMARY KEY, v text);
  CREATE TABLE hija (extra text) INHERITS (padre);
  CREATE TABLE ancha (id integer PRIMARY KEY, v text);
  CREATE TABLE numérica (id numeric PRIMARY KEY, x double precision UNIQUE NOT NULL);
  CREATE TABLE parcial (id integer PRIMARY KEY, visible text, oculta text);
  CREATE TABLE generada (id integer PRIMARY KEY, doble integer GENERATED ALWAYS AS (id * 2) STORED);
  CREATE DOMAIN corto AS varchar(3) CHECK (value <> 'no');
  CREATE TABLE dominio (id corto PRIMARY KEY, v text);
  CREATE TYPE cual AS ENUM ('uno', 'dos');
  CREATE TABLE lista (id cual PRIMARY KEY);
  CREATE SCHEMA "Extensiones, de otros"; CREATE EXTENSION citext SCHEMA "Extensiones, de otros";
  CREATE TABLE citada (id "Extensiones, de otros".citext PRIMARY KEY, v text);
  CREATE TABLE sin_mayúsculas (id "Extensiones, de otros".citext COLLATE "C" PRIMARY KEY);
  CREATE TABLE rara (a boolean, b inet, c "char", PRIMARY KEY (a, b, c));
  CREATE PUBLICATION prueba FOR TABLE sin_mayúsculas, rara, dominio, lista, citada, doble, texto, sin_clave, por_indice, nada, diferida, partida, padre, ancha,
    numérica, parcial (id, visible), generada WITH (publish_via_partition_root = true);
  CREATE TABLE ajena (id integer PRIMARY KEY)`;

// Its own server: transaction ids are the server's, and others' open transactions are waited for.
const database = await testDatabase({ own: true });

describe('reading chunks', () => {
  let client: pg.Client;
  let start: PublicationStart;
  const readers: ChunkReader[] = [];

  before(async () => {
    client = await connect({ connectionString: database.url, types: TEXT_VALUES });
    await client.query(SCHEMA);
    start = new PublicationStart();
    const tables = await readCatalog(client, 'prueba');
    start.note(
      tables.map(({ oid }) => oid),
      0n,
    );
  });
  after(async () => {
    for (const made of readers) await made.close();
    await disconnect(client);
  });

  function reader(options: Partial<ChunkReaderOptions> = {}): ChunkReader {
    const made = new ChunkReader({
      url: database.url,
      publication: 'prueba',
      publicationStart: start,
      eras: new TableEras(),
      lockTimeoutMs: 150,
      chunkRows: 3,
      chunkBytes: 1_000_000,
      ...options,
    });
    readers.push(made);
    return made;
  }

  const first: Range = { kind: 'following', after: null, shape: null };
  const rowsOf = (read: { rows: Buffer[] }) => read.rows.map(valuesOf);

  /** All chunks of a table, one after the other. */
  async function chunks(from: ChunkReader, table: string): Promise<(string | null | undefined)[][][]> {
    const all: (string | null | undefined)[][][] = [];
    let range: Range = first;
    for (;;) {
      const read = await from.read('public', table, range);
      all.push(rowsOf(read));
      if (read.complete) return all;
      range = { kind: 'following', after: read.lastKey, shape: read.shape.fingerprint };
    }
  }

  test('of a composite key come in the order of its index, none twice, none left out', async () => {
    await client.query(
      `INSERT INTO doble SELECT g::text, g % 4, chr(97 + g % 3) || 'Ñ''"' FROM generate_series(1, 12) g`,
    );
    const parts = await chunks(reader(), 'doble');
    assert.deepEqual(
      parts.map((part) => part.length),
      [3, 3, 3, 3, 0],
    );
    const { rows } = await client.query({ text: 'SELECT v, b, a FROM doble ORDER BY a, b', rowMode: 'array' });
    assert.deepEqual(parts.flat(), rows);
    const { shape } = await reader().read('public', 'doble', first);
    assert.deepEqual(shape.key, [1, 2]);
  });

  test('of a key whose type has an order of its own, in a schema on no search_path, leave nothing out', async () => {
    await client.query(
      `INSERT INTO sin_mayúsculas SELECT chr(CASE g % 2 WHEN 0 THEN 65 ELSE 97 END + g) FROM generate_series(1, 20) g`,
    );
    const ids = (await chunks(reader(), 'sin_mayúsculas')).flat(2);
    assert.equal(ids.length, 20);
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => (a!.toLowerCase() < b!.toLowerCase() ? -1 : 1)),
    );
  });

  test('go by the index, not over the rest of the table', async () => {
    await client.query(`INSERT INTO doble SELECT 'x', g, 'm' FROM generate_series(1, 3000) g; ANALYZE doble`);
    await client.query(`SELECT pg_stat_reset_single_table_counters('doble'::regclass)`);
    const from = reader();
    const { shape } = await from.read('public', 'doble', first);
    await from.read('public', 'doble', { kind: 'following', after: ['17', 'm'], shape: shape.fingerprint });
    // The counters come when the session ends.
    await from.close();
    const read = await until(async () => {
      const { rows } = await client.query(
        `SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'doble' AND idx_scan > 0`,
      );
      return rows[0];
    }, 'the counters');
    assert.deepEqual([Number(read.seq_tup_read), Number(read.idx_tup_fetch) < 20], [0, true]);
    await client.query(`DELETE FROM doble WHERE a = 'm'`);
  });

  test("of a text key follow the column's collation", async () => {
    const ids = ['a', 'B', 'á', 'ñ', 'n', 'Z', '', ' ', 'a b', "'", '10', '9'];
    await client.query('INSERT INTO texto SELECT unnest($1::text[]), 1', [ids]);
    const parts = await chunks(reader(), 'texto');
    assert.deepEqual(
      parts
        .flat()
        .map(([id]) => id)
        .sort(),
      [...ids].sort(),
    );
  });

  test('end early where the bytes are enough, and hold at least one row however large', async () => {
    await client.query(`INSERT INTO ancha SELECT g, repeat('x', 50000) FROM generate_series(1, 5) g`);
    const parts = await chunks(reader({ chunkRows: 100, chunkBytes: 20_000 }), 'ancha');
    assert.deepEqual(
      parts.map((part) => part.length),
      [1, 1, 1, 1, 1, 0],
    );
    const two = await chunks(reader({ chunkRows: 100, chunkBytes: 60_000 }), 'ancha');
    assert.deepEqual(
      two.flatMap((part) => part.map(([id]) => id)),
      ['1', '2', '3', '4', '5'],
    );
  });

  test('are fetched so few rows at a time that memory is bounded by bytes', async () => {
    const fetched: number[] = [];
    const spy = new Proxy(client, {
      get(target, name) {
        if (name !== 'query') return Reflect.get(target, name);
        return (query: string | { text: string }, values?: unknown[]) => {
          const size = /^FETCH (\d+)/.exec(typeof query === 'string' ? query : query.text);
          if (size) fetched.push(Number(size[1]));
          return target.query(query as string, values as string[]);
        };
      },
    });
    const table = (await readCatalog(client, 'prueba', { schema: 'public', table: 'ancha' }))[0]!;
    await client.query('BEGIN');
    assert.equal((await readWhole(spy, table, 120_000)).length, 5);
    assert.deepEqual(fetched, [1, 2, 2, 2]);
    await client.query('COMMIT');
  });

  test('of a table without a key are the whole table', async () => {
    await client.query(`INSERT INTO sin_clave SELECT g % 2, NULL FROM generate_series(1, 2000) g`);
    for (const range of [first, { kind: 'keys', keys: [['1', 'x']] } as Range]) {
      const read = await reader({ chunkBytes: 100 }).read('public', 'sin_clave', range);
      assert.deepEqual([read.rows.length, read.shape.key, read.complete, read.lastKey], [2000, [], true, null]);
    }
  });

  test('know the identity of rows as the stream does', async () => {
    const keyOf = async (table: string) => (await reader().read('public', table, first)).shape.key;
    assert.deepEqual(await keyOf('por_indice'), [1]);
    // PostgreSQL's stream identifies nothing here, and swaps of a deferrable key could not be followed.
    assert.deepEqual(await keyOf('nada'), []);
    assert.deepEqual(await keyOf('diferida'), []);
    await client.query(`INSERT INTO por_indice SELECT g, 'c' || (10 - g) FROM generate_series(1, 7) g`);
    const parts = await chunks(reader(), 'por_indice');
    assert.deepEqual(
      parts.flat().map(([, code]) => code),
      ['c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9'],
    );
  });

  test('of a partitioned table hold the rows of its partitions, of one with heirs only its own', async () => {
    await client.query(`INSERT INTO partida SELECT g, 'p' FROM generate_series(1, 8) g;
      INSERT INTO padre VALUES (1, 'own'); INSERT INTO hija VALUES (2, 'heir', 'x')`);
    assert.deepEqual(
      (await chunks(reader(), 'partida')).flat().map(([id]) => id),
      ['1', '2', '3', '4', '5', '6', '7', '8'],
    );
    assert.deepEqual((await chunks(reader(), 'padre')).flat(), [['1', 'own']]);
    const read = await reader().read('public', 'padre', { kind: 'keys', keys: [['1'], ['2']] });
    assert.deepEqual([rowsOf(read), read.absent.map(valuesOf)], [[['1', 'own']], [['2', null]]]);
  });

  test('hold the published columns only', async () => {
    await client.query(`INSERT INTO parcial VALUES (1, 'a', 'secret'); INSERT INTO generada VALUES (4)`);
    const partial = await reader().read('public', 'parcial', first);
    assert.deepEqual(
      [partial.shape.columns.map(({ name }) => name), rowsOf(partial)],
      [['id', 'visible'], [['1', 'a']]],
    );
    const generated = await reader().read('public', 'generada', first);
    assert.deepEqual([generated.shape.columns.map(({ name }) => name), rowsOf(generated)], [['id'], [['4']]]);
  });

  test('of certain keys hold those rows, and which keys no row has is what PostgreSQL says', async () => {
    await client.query(`INSERT INTO numérica VALUES (1.50, 1e-7), (2, 1e21)`);
    const keys = [['1.5'], ['2.000'], ['3'], ['3'], ['NaN']];
    const read = await reader().read('public', 'numérica', { kind: 'keys', keys });
    assert.deepEqual(rowsOf(read).sort(), [
      ['1.50', '1e-07'],
      ['2', '1e+21'],
    ]);
    assert.deepEqual(read.absent.map(valuesOf).sort(), [
      ['3', null],
      ['NaN', null],
    ]);
    const both = await reader().read('public', 'doble', {
      kind: 'keys',
      keys: [
        ['1', `bÑ'"`],
        ['99', 'x'],
      ],
    });
    assert.deepEqual([both.rows.length, both.absent.map(valuesOf)], [1, [[null, '99', 'x']]]);
    const many = Array.from({ length: 10_000 }, (_, i) => [String(i), 'zz']);
    assert.equal((await reader().read('public', 'doble', { kind: 'keys', keys: many })).absent.length, 10_000);
  });

  test('of keys whose text a cast writes in another way are found, or are absent', async () => {
    await client.query(`INSERT INTO rara VALUES (true, '10.0.0.1', 'x')`);
    const asked = [
      ['t', '10.0.0.1', 'x'],
      ['f', '10.0.0.1', 'x'],
      ['t', '10.0.0.2', ''],
    ];
    const read = await reader().read('public', 'rara', { kind: 'keys', keys: asked });
    assert.deepEqual(rowsOf(read), [asked[0]]);
    assert.deepEqual(read.absent.map(valuesOf).sort(), [asked[1], asked[2]].sort());
    assert.equal(read.unfit, 0);
  });

  test('of keys of which SIIRAyS cannot read all hold the others, and no row of another key', async () => {
    await assert.rejects(reader().read('public', 'doble', { kind: 'keys', keys: [['1']] }), UnfitKeys);
    const asked = async (table: string, keys: string[]) => {
      const read = await reader().read('public', table, { kind: 'keys', keys: keys.map((key) => [key]) });
      return [rowsOf(read).map(([id]) => id), read.absent.map((row) => valuesOf(row)[0]).sort(), read.unfit];
    };
    // What integer refuses can be neither published nor in a replica; 500 keys of which each may be such.
    const numbers = Array.from({ length: 500 }, (_, i) => String(1_000 + i));
    const bad = ['x', '', '99999999999', '\0', ' 1'];
    assert.deepEqual(await asked('ancha', ['1', ...bad.slice(0, 2), ...numbers, ...bad.slice(2)]), [['1'], numbers, 5]);
    assert.deepEqual(await asked('ancha', bad.slice(0, 4)), [[], [], 4]);
    // Replicas keep these types as texts, so that a surplus row can have any.
    await client.query(`INSERT INTO dominio VALUES ('abc', 'x'); INSERT INTO lista VALUES ('uno')`);
    assert.deepEqual(await asked('dominio', ['abc', 'no', 'zz', '\0']), [['abc'], ['no', 'zz'], 1]);
    assert.deepEqual(await asked('lista', ['uno', 'otro']), [['uno'], ['otro'], 0]);
    // Cut to fit, it would be another row's key.
    assert.deepEqual(await asked('dominio', ['abcdef']), [['abc'], [], 1]);
  });

  test('of keys that differ from a row in their text only hold the row, and the other text as absent', async () => {
    await client.query(`INSERT INTO citada VALUES ('Ñu', 'x')`);
    const read = await reader().read('public', 'citada', { kind: 'keys', keys: [['ñU'], ['Ñu']] });
    assert.deepEqual([rowsOf(read), read.absent.map(valuesOf)], [[['Ñu', 'x']], [['ñU', null]]]);
  });

  test('of a table that has another shape than the last chunk begin again', async () => {
    const range: Range = { kind: 'following', after: ['x', 'y', 'z'], shape: 'another' };
    assert.deepEqual(rowsOf(await reader().read('public', 'parcial', range)), [['1', 'a']]);
  });

  test('of a table that is not published, or not there, are errors', async () => {
    await assert.rejects(reader().read('public', 'ajena', first), TableNotPublished);
    await assert.rejects(reader().read('public', 'no_hay', first), { code: '42P01' });
    await assert.rejects(reader().read('otro', 'no_hay', first), { code: '3F000' });
  });

  test('do not wait long for a lock, and hold one on the partitions too', async () => {
    const other = await connect({ connectionString: database.url });
    for (const table of ['ancha', 'partida_2']) {
      await other.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      await assert.rejects(reader().read('public', table === 'ancha' ? table : 'partida', first), { code: '55P03' });
      await other.query('ROLLBACK');
    }
    await disconnect(other);
  });

  const rewritings = [
    ['ancha', 'ancha', 'ALTER TABLE ancha ALTER COLUMN v TYPE varchar(60000)', 5],
    ['partida', 'partida_2', 'ALTER TABLE partida_2 SET UNLOGGED', 8],
  ] as const;
  for (const [table, rewritten, sql, count] of rewritings) {
    test(`see ${rewritten} as it is, though it was being rewritten when they began`, async () => {
      const other = await connect({ connectionString: database.url });
      await other.query(`BEGIN; ${sql}`);
      const reading = reader({ lockTimeoutMs: 5_000, chunkRows: 100 }).read('public', table, first);
      await until(async () => {
        const { rowCount } = await client.query(
          `SELECT FROM pg_locks WHERE NOT granted AND relation = '${rewritten}'::regclass`,
        );
        return rowCount;
      }, 'the reader at the lock');
      await other.query('COMMIT');
      assert.equal((await reading).rows.length, count);
      await disconnect(other);
    });
  }

  test('have a snapshot that tells what they see, and a barrier that the server has reached', async () => {
    const open = await connect({ connectionString: database.url, types: TEXT_VALUES });
    const ended = await connect({ connectionString: database.url, types: TEXT_VALUES });
    await open.query(`BEGIN; INSERT INTO ancha VALUES (100, '')`);
    const { rows: hidden } = await open.query('SELECT pg_current_xact_id()::text AS xid');
    const { rows: shown } = await ended
      .query(`BEGIN; INSERT INTO ancha VALUES (101, ''); SELECT pg_current_xact_id()::text AS xid`)
      .then((results) => (results as unknown as pg.QueryResult[])[2]!);
    await ended.query('COMMIT');
    const read = await reader({ chunkRows: 100 }).read('public', 'ancha', first);
    const ids = rowsOf(read).map(([id]) => id);
    assert.deepEqual([ids.includes('101'), ids.includes('100')], [true, false]);
    const low = (xid: string) => Number(BigInt(xid) % 2n ** 32n);
    assert.deepEqual([sees(read.snapshot, low(shown[0].xid)), sees(read.snapshot, low(hidden[0].xid))], [true, false]);
    const { rows } = await client.query(
      `SELECT pg_current_wal_insert_lsn() >= '0/0'::pg_lsn + $1::numeric AS reached`,
      [String(read.barrier)],
    );
    assert.equal(rows[0].reached, 't');
    await open.query('ROLLBACK');
    await disconnect(open);
    await disconnect(ended);
  });

  test('of a table that is new in the publication wait for all who could have written to it before', async () => {
    const writer = await connect({ connectionString: database.url, types: TEXT_VALUES });
    const later = await connect({ connectionString: database.url, types: TEXT_VALUES });
    await client.query('CREATE TABLE nueva (id integer PRIMARY KEY)');
    await writer.query('BEGIN; INSERT INTO nueva VALUES (1)');
    const { rows } = await writer.query('SELECT pg_current_xact_id()::text AS xid');
    await client.query('ALTER PUBLICATION prueba ADD TABLE nueva');
    // The open transaction has the greatest id of all, beyond every snapshot's xmax.
    assert.ok((await currentSnapshot(client)).xmax >= BigInt(rows[0].xid));
    const from = reader();
    await assert.rejects(from.read('public', 'nueva', first), TableTooNew);
    const noted = start.noted;
    await later.query('BEGIN; SELECT pg_current_xact_id()');
    await assert.rejects(from.read('public', 'nueva', first), TableTooNew);
    await writer.query('COMMIT');
    // Whoever begins afterwards is streamed whole, and is not waited for, not by who is started again either.
    assert.deepEqual(rowsOf(await from.read('public', 'nueva', first)), [['1']]);
    const again = reader({ publicationStart: new PublicationStart(noted) });
    assert.deepEqual(rowsOf(await again.read('public', 'nueva', first)), [['1']]);
    await later.query('ROLLBACK');
    await disconnect(writer);
    await disconnect(later);
  });

  test('know the next transaction id, though open ones lie beyond all snapshots', async () => {
    const open = await connect({ connectionString: database.url, types: TEXT_VALUES });
    const { rows } = await open
      .query('BEGIN; SELECT pg_current_xact_id()::text AS xid')
      .then((results) => (results as unknown as pg.QueryResult[])[1]!);
    assert.equal(await nextXid(client), BigInt(rows[0].xid) + 1n);
    const { xmax } = await currentSnapshot(client);
    assert.ok(xmax <= BigInt(rows[0].xid), `an open transaction ${rows[0].xid} beyond xmax ${xmax}`);
    await open.query('ROLLBACK');
    await disconnect(open);
  });

  test('are not made smaller by row security, and read nothing but what they may', async () => {
    const role = `lector_${database.name}`;
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'; CREATE TABLE reservada (id integer PRIMARY KEY);
      INSERT INTO reservada VALUES (1), (2); ALTER TABLE reservada ENABLE ROW LEVEL SECURITY;
      CREATE POLICY p ON reservada USING (id = 1); GRANT SELECT ON reservada, partida TO ${role};
      ALTER PUBLICATION prueba ADD TABLE reservada`);
    const url = database.server.url(database.name, role, 'p');
    await assert.rejects(reader({ url }).read('public', 'reservada', first), { code: '42501' });
    await assert.rejects(reader({ url }).read('public', 'ancha', first), { code: '42501' });
    // The right to read a partitioned table is enough: its partitions need none of their own.
    assert.equal((await chunks(reader({ url }), 'partida')).flat().length, 8);
    for (const made of readers.splice(0)) await made.close();
    await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test('survive a broken connection: the next read opens another', async () => {
    const from = reader();
    await from.read('public', 'padre', first);
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'siirays-sync snapshot'`,
    );
    await assert.rejects(from.read('public', 'padre', first));
    assert.equal((await from.read('public', 'padre', first)).rows.length, 1);
  });
});
