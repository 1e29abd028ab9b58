import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { UNCHANGED } from '../../src/kafka/change-event.ts';
import { encodeSignal } from '../../src/kafka/signal.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { testBroker, testRegistry } from '../support/kafka.ts';
import { testDatabase } from '../support/postgres.ts';
import {
  producerConfig,
  type RunningProducer,
  startProducer,
  type TestSource,
  type Unit,
  type Witness,
  witness,
} from '../support/producer.ts';
import { until } from '../support/until.ts';

const SCHEMA = `
  CREATE TABLE todo (id integer PRIMARY KEY, nombre text, monto numeric, grande bigint, x double precision, y real,
                     activo boolean, dia date, cuando timestamptz, datos jsonb, crudo bytea, partes int[]);
  CREATE TABLE sin_clave (a integer, b text);
  ALTER TABLE sin_clave REPLICA IDENTITY FULL;
  CREATE TABLE grande (id integer PRIMARY KEY, texto text);
  ALTER TABLE grande ALTER COLUMN texto SET STORAGE EXTERNAL;
  CREATE PUBLICATION prueba FOR TABLE todo, sin_clave, grande`;

const database = await testDatabase({ wal_level: 'logical' });
const broker = await testBroker();
const registry = await testRegistry();

describe('SIIRAyS commits in Kafka', () => {
  let client: pg.Client;
  let source: TestSource;
  let producer: RunningProducer;
  let seen: Witness;

  before(async () => {
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(SCHEMA);
    source = {
      url: database.url,
      slot: `slot_${database.name}`,
      publication: 'prueba',
      broker: broker.address,
      topicPrefix: broker.topicPrefix,
      registryUrl: registry.url,
    };
    producer = startProducer(producerConfig(source));
    await producer.ready;
    seen = await witness(source, ['todo', 'sin_clave', 'grande']);
  });

  after(async () => {
    await producer?.stop();
    await seen?.stop();
    await client?.end();
  });

  const whole = (): Unit[] =>
    seen.units().filter((unit) => unit.end !== null && unit.events.length === (unit.end.eventCount ?? 0));
  async function nextUnits(count: number, act: () => Promise<unknown>): Promise<Unit[]> {
    const from = whole().length;
    await act();
    await until(() => whole().length >= from + count, `${count} more units`);
    return whole().slice(from);
  }

  test('values arrive as PostgreSQL wrote them', async () => {
    await client.query(`SET DateStyle = 'SQL, DMY'; SET extra_float_digits = 0`);
    const [unit] = await nextUnits(1, () =>
      client.query(`INSERT INTO todo VALUES
        (1, 'ñandú 🦙 "\\t', 'NaN', 9223372036854775807, 0.1::float8 + 0.2::float8, 1.1, true, '2010-02-24',
         '2010-02-24 12:00:00.123456+00', '{"b": 1, "a": 2.50}', '\\xdeadbeef', '{1,NULL,3}'),
        (2, '', 12345678901234567890.1200, -9223372036854775808, 'Infinity', '-0', false, '0044-03-15 BC', 'infinity', 'null', '', '{}'),
        (-3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`),
    );
    assert.deepEqual(
      unit!.events.map((event) => event.after),
      [
        [
          '1',
          'ñandú 🦙 "\\t',
          'NaN',
          '9223372036854775807',
          '0.30000000000000004',
          '1.100000023841858',
          't',
          '2010-02-24',
          '2010-02-24 12:00:00.123456+00',
          '{"a": 2.50, "b": 1}',
          '\\xdeadbeef',
          '{1,NULL,3}',
        ],
        [
          '2',
          '',
          '12345678901234567890.1200',
          '-9223372036854775808',
          'Infinity',
          '-0',
          'f',
          '0044-03-15 BC',
          'infinity',
          'null',
          '\\x',
          '{}',
        ],
        ['-3', null, null, null, null, null, null, null, null, null, null, null],
      ],
    );
    assert.equal(unit!.end!.eventCount, 3);
    assert.deepEqual(unit!.end!.dataCollections, [{ dataCollection: 'public.todo', eventCount: 3 }]);
  });

  test('a transaction over tables is one unit, a rollback none, a savepoint only what stayed', async () => {
    const units = await nextUnits(2, async () => {
      await client.query(`BEGIN; INSERT INTO sin_clave VALUES (1, 'x'), (1, 'x'); ROLLBACK`);
      await client.query(`BEGIN; INSERT INTO sin_clave VALUES (1, 'a'); SAVEPOINT s; INSERT INTO sin_clave VALUES (2, 'b');
        ROLLBACK TO s; INSERT INTO todo (id) VALUES (10); COMMIT`);
      await client.query(
        `BEGIN; UPDATE sin_clave SET b = 'z'; UPDATE todo SET id = 11 WHERE id = 10; DELETE FROM todo WHERE id = 11; COMMIT`,
      );
    });
    assert.deepEqual(
      units.map((unit) => unit.events.map(({ op, shape, totalOrder }) => [op, shape.table, totalOrder])),
      [
        [
          ['c', 'sin_clave', 1],
          ['c', 'todo', 2],
        ],
        [
          ['u', 'sin_clave', 1],
          ['u', 'todo', 2],
          ['d', 'todo', 3],
        ],
      ],
    );
    const [whole_, keyChange] = units[1]!.events;
    assert.deepEqual(
      [whole_!.before, whole_!.after],
      [
        ['1', 'a'],
        ['1', 'z'],
      ],
    );
    assert.equal(keyChange!.before![0], '10');
    assert.equal(keyChange!.after![0], '11');
    assert.equal(BigInt(units[1]!.begin.seq) - BigInt(units[0]!.begin.seq), 1n);
  });

  test('an unchanged TOASTed value is named as such', async () => {
    const long = 'x'.repeat(20_000);
    const units = await nextUnits(2, async () => {
      await client.query('INSERT INTO grande VALUES (1, $1)', [long]);
      await client.query('UPDATE grande SET id = 2');
    });
    assert.equal(units[0]!.events[0]!.after![1], long);
    assert.equal(units[1]!.events[0]!.after![1], UNCHANGED);
  });

  test('TRUNCATE is an event of each table', async () => {
    const [unit] = await nextUnits(1, () => client.query('TRUNCATE grande, sin_clave'));
    assert.deepEqual(unit!.events.map((event) => [event.op, event.shape.table]).sort(), [
      ['t', 'grande'],
      ['t', 'sin_clave'],
    ]);
  });

  test('a transaction larger than a request is one unit', async () => {
    const [unit] = await nextUnits(1, () =>
      client.query(`INSERT INTO grande SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 10000) g`),
    );
    assert.equal(unit!.end!.eventCount, 10_000);
    assert.deepEqual(
      unit!.events.map((event) => event.totalOrder),
      Array.from({ length: 10_000 }, (_, i) => i + 1),
    );
  });

  test('a snapshot under load, read in chunks, gives with the stream exactly the tables', async () => {
    await client.query(`INSERT INTO sin_clave SELECT g % 3, 'v' FROM generate_series(1, 20) g`);
    const kafka = new Kafka({ brokers: [source.broker], logLevel: logLevel.NOTHING });
    const signals = kafka.producer();
    await signals.connect();
    const other = new pg.Client({ connectionString: source.url });
    await other.connect();
    let busy = true;
    const load = (async () => {
      for (let i = 0; busy; i++) {
        await other.query(`BEGIN; UPDATE grande SET id = -id WHERE id = ${1 + ((i * 7919) % 10_000)};
          DELETE FROM grande WHERE id = ${1 + ((i * 6007) % 10_000)}; UPDATE sin_clave SET a = a + 1 WHERE ctid IN (SELECT ctid FROM sin_clave LIMIT 1);
          INSERT INTO sin_clave VALUES (${i % 5}, 'n'); COMMIT`);
      }
    })();
    const tables = ['public.grande', 'public.sin_clave'];
    await signals.send({
      topic: topicsFor(source.topicPrefix).signal,
      messages: [1, 2].map(() => encodeSignal({ id: 'request-1', kind: 'snapshot', connector: 'prueba', tables })),
    });
    const bounds = () => seen.units().filter((unit) => unit.begin.kind === 'snapshot');
    await until(() => bounds().length >= 2, 'the end of the snapshot', 60_000);
    busy = false;
    await load;
    await client.query(`INSERT INTO todo (id) VALUES (999)`);
    await until(() => whole().at(-1)?.events.at(-1)?.after?.[0] === '999', 'the last transaction');
    assert.deepEqual(
      bounds().map((unit) => [unit.begin.status, unit.begin.snapshot!.requestId]),
      [
        ['BEGIN', 'request-1'],
        ['END', 'request-1'],
      ],
    );

    // Rebuilt from the snapshot's BEGIN on only, as a new reader would.
    const units = whole();
    const from = units.findIndex((unit) => unit.begin.kind === 'snapshot');
    const grande = new Map<string, unknown>();
    const bag = new Map<string, number>();
    const put = (row: unknown, n: number) => bag.set(JSON.stringify(row), (bag.get(JSON.stringify(row)) ?? 0) + n);
    for (const unit of units.slice(from)) {
      for (const event of unit.events) {
        if (event.shape.table === 'grande') {
          const old = event.before ? String(event.before[0]) : null;
          const kept = old ?? (event.after ? String(event.after[0]) : null);
          const value = event.after?.[1] === UNCHANGED ? grande.get(kept!) : event.after?.[1];
          if (old !== null) grande.delete(old);
          if (event.after) grande.set(String(event.after[0]), value);
        } else if (event.shape.table === 'sin_clave') {
          if (event.op === 't') bag.clear();
          if (event.before) put(event.before, -1);
          if (event.after) put(event.after, 1);
        }
      }
    }
    const { rows } = await client.query(`SELECT id::text, texto FROM grande`);
    assert.equal(grande.size, rows.length);
    for (const row of rows) assert.equal(grande.get(row.id), row.texto, `row ${row.id}`);
    const { rows: pairs } = await client.query(`SELECT a::text, b, count(*)::int AS n FROM sin_clave GROUP BY 1, 2`);
    assert.deepEqual(
      [...bag].filter(([, n]) => n !== 0).sort(),
      pairs.map((row) => [JSON.stringify([row.a, row.b]), row.n] as [string, number]).sort(),
    );
    await signals.disconnect();
    await other.end();
  });

  test('a new producer goes on without a gap or a repetition', async () => {
    const from = whole().length;
    await client.query(`INSERT INTO todo (id) VALUES (2000)`);
    const second = startProducer(producerConfig(source));
    await client.query(`INSERT INTO todo (id) VALUES (2001)`);
    await producer.stop();
    await client.query(`INSERT INTO todo (id) VALUES (2002)`);
    await second.ready;
    producer = second;
    await client.query(`INSERT INTO todo (id) VALUES (2003)`);
    await until(() => whole().length >= from + 4, 'four more units');
    const units = whole();
    assert.deepEqual(
      units.slice(from).map((unit) => unit.events[0]!.after![0]),
      ['2000', '2001', '2002', '2003'],
    );
    units.forEach((unit, i) => {
      assert.equal(unit.begin.seq, String(i + 1));
      assert.equal(unit.begin.history, 1);
    });
  });
});
