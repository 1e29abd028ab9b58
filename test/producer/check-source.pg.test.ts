import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { connect, disconnect, TEXT_VALUES } from '../../src/postgres/session.ts';
import { checkSource, SourceNotReady, type SourceProblem } from '../../src/producer/check-source.ts';
import { SlotStream } from '../../src/producer/slot-stream.ts';
import { connectSource, ensureSlot } from '../../src/producer/source-session.ts';
import { readCatalog } from '../../src/producer/table-catalog.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const NAMES = { slot: 'ranura', publication: 'Prueba "2"' };
const NEEDED = [
  { schema: 'public', table: 'una', columns: ['id', 'v'] },
  { schema: 'público', table: 'dos', columns: ['id'] },
];
const SCHEMA = `
  CREATE TABLE una (id integer PRIMARY KEY, v text);
  CREATE SCHEMA "público";
  CREATE TABLE "público".dos (id integer PRIMARY KEY);
  CREATE PUBLICATION "Prueba ""2""" FOR TABLE una, "público".dos`;

const shared = await testDatabase({ wal_level: 'logical' });

describe('what SIIRAyS must offer', () => {
  let owner: pg.Client;

  before(async () => {
    owner = await connect({ connectionString: shared.url, types: TEXT_VALUES });
    await owner.query(SCHEMA);
  });
  after(async () => disconnect(owner));

  const check = (client: pg.Client = owner, names = NAMES, needed = NEEDED) => checkSource(client, names, needed);

  /** Exactly these problems; their cures are run as they stand, by the owner, and leave none. */
  async function isCured(what: RegExp[], ...args: Parameters<typeof check>): Promise<SourceProblem[]> {
    const problems = await check(...args);
    assert.equal(problems.length, what.length, JSON.stringify(problems));
    for (const [i, expected] of what.entries()) assert.match(problems[i]!.what, expected);
    for (const { cure } of problems) await owner.query(cure);
    assert.deepEqual(await check(...args), []);
    return problems;
  }

  test('is all there', async () => {
    assert.deepEqual(await check(), []);
  });

  test('a database whose texts have no known encoding', async () => {
    await owner.query(`CREATE DATABASE ${shared.name}_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`);
    const client = await connect({ connectionString: shared.server.url(`${shared.name}_ascii`), types: TEXT_VALUES });
    const problems = await check(client, NAMES, []);
    await client.end();
    await owner.query(`DROP DATABASE ${shared.name}_ascii`);
    assert.match(problems[0]!.what, /SQL_ASCII/);
    assert.match(problems[0]!.cure, /ENCODING 'UTF8'/);
  });

  test('an identity with generated columns, for which PostgreSQL 18 would refuse its own changes', async () => {
    await owner.query(`ALTER TABLE una REPLICA IDENTITY FULL, ADD COLUMN doble integer GENERATED ALWAYS AS (id * 2) STORED;
      INSERT INTO una (id) VALUES (1)`);
    await assert.rejects(owner.query(`UPDATE una SET v = 'x'`), /cannot update table/);
    await isCured([/una is identified by its whole row, with generated columns/]);
    await owner.query(`UPDATE una SET v = 'x'; DELETE FROM una; ALTER TABLE una DROP COLUMN doble`);
  });

  test('a publication that is not there', async () => {
    await owner.query(`DROP PUBLICATION "Prueba ""2"""`);
    await isCured([/publication Prueba "2" does not exist/]);
  });

  test('a publication that leaves out operations, tables, rows', async () => {
    await owner.query(`ALTER PUBLICATION "Prueba ""2""" SET (publish = 'insert, update')`);
    await owner.query(`ALTER PUBLICATION "Prueba ""2""" SET TABLE una WHERE (id > 1)`);
    await isCured([
      /leaves out delete, truncate/,
      /leaves out rows of public\.una/,
      /público\.dos is not in publication/,
    ]);
  });

  test('tables without identity, of whatever kind, are told, and not published before they have one', async () => {
    await owner.query(`DROP PUBLICATION "Prueba ""2"""; ALTER TABLE una REPLICA IDENTITY NOTHING;
      ALTER TABLE "público".dos DROP CONSTRAINT dos_pkey`);
    const [missing] = await check();
    await owner.query(missing!.cure);
    await owner.query(`INSERT INTO una VALUES (1, 'a'); UPDATE una SET v = 'b'; DELETE FROM una`);
    await owner.query(`DROP PUBLICATION "Prueba ""2"""`);
    const problems = await isCured([
      /does not exist/,
      /public\.una has no replica identity/,
      /public\.una is not in/,
      /público\.dos has no replica identity/,
      /público\.dos is not in/,
    ]);
    assert.match(problems[1]!.cure, /DEFAULT/);
    assert.match(problems[3]!.cure, /FULL/);
    await owner.query(`ALTER TABLE "público".dos REPLICA IDENTITY DEFAULT, ADD PRIMARY KEY (id) DEFERRABLE`);
    await isCured([/público\.dos has no replica identity/]);
  });

  test('is told as PostgreSQL itself sees it: what passes is neither refused nor unidentified', async () => {
    const identities = [
      ['CREATE TABLE x (id integer PRIMARY KEY)', true],
      ['CREATE TABLE x (id integer PRIMARY KEY DEFERRABLE)', false],
      ['CREATE TABLE x (id integer)', false],
      ['CREATE TABLE x (id integer UNIQUE)', false],
      ['CREATE TABLE x (id integer); ALTER TABLE x REPLICA IDENTITY FULL', true],
      ['CREATE TABLE x (id integer PRIMARY KEY); ALTER TABLE x REPLICA IDENTITY NOTHING', false],
      [
        'CREATE TABLE x (id integer NOT NULL); CREATE UNIQUE INDEX u ON x (id); ALTER TABLE x REPLICA IDENTITY USING INDEX u',
        true,
      ],
    ] as const;
    for (const [sql, identified] of identities) {
      await owner.query(`${sql}; CREATE PUBLICATION otra FOR TABLE x; INSERT INTO x VALUES (1)`);
      const problems = await check(owner, { ...NAMES, publication: 'otra' }, [
        { schema: 'public', table: 'x', columns: ['id'] },
      ]);
      assert.equal(problems.length === 0, identified, sql);
      const update = owner.query('UPDATE x SET id = 2');
      if (identified) await update;
      else await assert.rejects(update, { code: '55000' }, sql);
      await owner.query('DROP PUBLICATION otra; DROP TABLE x');
    }
  });

  test('partitions in place of their table', async () => {
    await owner.query(`CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); CREATE PUBLICATION otra FOR TABLE p`);
    const needed = [{ schema: 'public', table: 'p', columns: ['id'] }];
    const names = { ...NAMES, publication: 'otra' };
    await isCured([/publishes the partitions of public\.p/], owner, names, needed);
    assert.deepEqual(
      (await readCatalog(owner, 'otra')).map(({ table }) => table),
      ['p'],
    );
    await owner.query('DROP PUBLICATION otra');
    await isCured([/does not exist/], owner, names, needed);
    await owner.query('DROP PUBLICATION otra; DROP TABLE p');
  });

  test('tables and columns that are not there', async () => {
    const problems = await check(owner, NAMES, [
      { schema: 'public', table: 'una', columns: ['id', 'falta', 'ctid'] },
      { schema: 'public', table: 'tres', columns: ['id'] },
      { schema: 'otro', table: 'una', columns: ['id'] },
    ]);
    assert.deepEqual(
      problems.map(({ what }) => what),
      [
        'table public.una has no column falta',
        'table public.una has no column ctid',
        'table public.tres does not exist',
        'table otro.una does not exist',
      ],
    );
    const message = new SourceNotReady(problems).message;
    for (const { what, cure } of problems) assert.ok(message.includes(what) && message.includes(cure));
  });

  test('rights that a role has not', async () => {
    const role = `rol_${shared.name}`;
    await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA "público" TO ${role}`);
    const client = await connect({
      connectionString: shared.server.url(shared.name, role, 'p'),
      types: TEXT_VALUES,
    });
    await isCured([/may not replicate/, /may not read public\.una/, /may not read público\.dos/], client);
    await disconnect(client);
    await owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test('a slot of another kind or database', async () => {
    const other = await connect({ connectionString: shared.server.url(), types: TEXT_VALUES });
    const slot = `otra_${shared.name}`;
    await other.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
    await isCured([/not pgoutput\//], owner, { ...NAMES, slot });
    await other.query(`SELECT pg_create_physical_replication_slot('${slot}')`);
    await isCured([/not pgoutput\//], owner, { ...NAMES, slot });
    await disconnect(other);
  });
});

describe('settings of the server', () => {
  async function restarted(database: TestDatabase, cure: string): Promise<pg.Client> {
    const before = await connect({ connectionString: database.url });
    await before.query(cure);
    await disconnect(before);
    await database.postgres!.stop();
    await database.postgres!.part.start();
    return connect({ connectionString: database.url, types: TEXT_VALUES });
  }

  for (const [settings, what] of [
    [{ wal_level: 'replica' }, /wal_level is replica/],
    [{ max_replication_slots: '1' }, /no replication slot is free: 1 of max_replication_slots = 1/],
  ] as const) {
    test(`${JSON.stringify(settings)} is told, and cured by a restart`, async () => {
      const database = await testDatabase({ settings });
      const client = await connect({ connectionString: database.url, types: TEXT_VALUES });
      await client.query(SCHEMA);
      if ('max_replication_slots' in settings) await client.query(`SELECT pg_create_physical_replication_slot('x')`);
      const [problem, ...others] = await checkSource(client, NAMES, NEEDED);
      assert.match(problem!.what, what);
      assert.deepEqual(others, []);
      await disconnect(client);
      const again = await restarted(database, problem!.cure);
      assert.deepEqual(await checkSource(again, NAMES, NEEDED), []);
      await ensureSlot(again, NAMES.slot);
      await disconnect(again);
    });
  }
});

describe('sql/siirays-setup.sql', () => {
  const setup = readFileSync(new URL('../../sql/siirays-setup.sql', import.meta.url), 'utf8');
  const tables = [...setup.matchAll(/ {4}'[^;]*?(?=\];)/g)][0]![0].match(/'(\w+)'/g)!.map((name) => name.slice(1, -1));

  test('gives the right to read and to replicate and nothing else, as often as it is run', async () => {
    // A role is the server's, not the database's.
    const database = await testDatabase({ own: true });
    const owner = await connect({ connectionString: database.url, types: TEXT_VALUES });
    const notices: string[] = [];
    owner.on('notice', ({ message }) => notices.push(String(message)));
    for (const table of tables) {
      const key = table === 'sector' ? '' : ' PRIMARY KEY';
      await owner.query(
        `CREATE TABLE public.${table} (id integer${key}, v text); INSERT INTO ${table} VALUES (1, 'a')`,
      );
    }
    await owner.query(`ALTER TABLE rar REPLICA IDENTITY NOTHING; ALTER TABLE localidad DROP CONSTRAINT localidad_pkey;
      ALTER TABLE localidad ADD PRIMARY KEY (id) DEFERRABLE; CREATE TABLE ajena (id integer PRIMARY KEY)`);
    const unidentified = ['localidad', 'rar', 'sector'];
    for (let run = 0; run < 2; run++) {
      await owner.query(setup);
      const { rows } = await owner.query(`SELECT tablename FROM pg_publication_tables WHERE pubname = 'siirays_sync'`);
      const expected = tables.filter((table) => !unidentified.includes(table)).sort();
      assert.deepEqual(rows.map(({ tablename }) => tablename).sort(), expected);
      for (const table of unidentified) assert.ok(notices.some((notice) => notice.includes(`public.${table} has no`)));
      // SIIRAyS's own changes are not refused because of the publication.
      for (const table of tables) await owner.query(`UPDATE ${table} SET v = 'b'; DELETE FROM ${table} WHERE id = 7`);
    }
    for (const table of unidentified) await owner.query(`ALTER TABLE ${table} REPLICA IDENTITY FULL`);
    await owner.query(setup);
    await owner.query(`ALTER ROLE siirays_sync PASSWORD 'p'`);

    const url = database.server.url(database.name, 'siirays_sync', 'p');
    const role = await connectSource(url);
    const needed = tables.map((table) => ({ schema: 'public', table, columns: ['id', 'v'] }));
    assert.deepEqual(await checkSource(role, { slot: 'ranura', publication: 'siirays_sync' }, needed), []);
    await role.query('SET search_path = public');
    const forbidden = [
      `INSERT INTO epsa VALUES (2, 'x')`,
      `UPDATE epsa SET v = 'x'`,
      'DELETE FROM epsa',
      'TRUNCATE epsa',
      'SELECT * FROM ajena',
      'CREATE TABLE nueva (x integer)',
      'CREATE SCHEMA nuevo',
      'CREATE DATABASE nueva',
      'CREATE ROLE otro',
      'ALTER TABLE epsa ADD COLUMN x integer',
      'ALTER PUBLICATION siirays_sync ADD TABLE ajena',
      `SELECT pg_read_file('postgresql.conf')`,
    ];
    for (const readOnly of ['on', 'off']) {
      await role.query(`SET default_transaction_read_only = ${readOnly}`);
      for (const sql of forbidden) {
        await assert.rejects(role.query(sql), ({ code }: { code: string }) => ['42501', '25006'].includes(code), sql);
      }
    }
    await role.query('RESET default_transaction_read_only');
    const { rows } = await role.query('SHOW default_transaction_read_only');
    assert.equal(rows[0].default_transaction_read_only, 'on');

    // And it is enough for what the producer does.
    assert.equal(await ensureSlot(role, 'ranura'), true);
    const names = { slot: 'ranura', publication: 'siirays_sync', walSenderTimeoutMs: 3_000 };
    const ignore = () => undefined;
    const stream = await SlotStream.open(url, names, { onMessage: ignore, onKeepalive: ignore, onError: ignore });
    await stream.close();
    await disconnect(role);
    await disconnect(owner);
  });
});
