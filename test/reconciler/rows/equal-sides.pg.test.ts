import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { testDatabase } from '../../support/postgres.ts';
import { databaseLike, RowsRig } from './rows-rig.ts';

const WIDE = Array.from({ length: 250 }, (_, i) => `c${i} text`).join(', ');

/** Every kind of type, its oddities, and keys of many kinds. */
const DDL = `
  CREATE TYPE color AS ENUM ('rojo', 'verde', 'azul claro');
  CREATE TYPE punto AS (x integer, nombre text);
  CREATE DOMAIN sí AS boolean;
  CREATE DOMAIN código AS varchar(8);
  CREATE TABLE tipos (
    id integer PRIMARY KEY, si smallint, bi bigint, n numeric, n2 numeric(12, 2), r real, d double precision, b boolean,
    t text, v varchar(20), c character(6), c1 "char", nm name, bin bytea, u uuid, dt date, tm time, tz timetz,
    ts timestamp, tstz timestamptz(3), iv interval, j json, jb jsonb, x xml, m money, ip inet, cd cidr, mac macaddr,
    bits bit(4), vbits bit varying, ai integer[], at text[], an numeric(6, 2)[], ir int4range, nr numrange, tr tstzrange,
    mr int4multirange, pt point, bx box, tsv tsvector, lsn pg_lsn, o oid, rc regclass, col color, cols color[], p punto,
    s sí, cod código, b2 boolean[]);
  CREATE TABLE por_texto (id text PRIMARY KEY, v text);
  CREATE TABLE por_bpchar (id character(5) PRIMARY KEY, v text);
  CREATE TABLE por_uuid (id uuid PRIMARY KEY, v text);
  CREATE TABLE por_bytea (id bytea PRIMARY KEY, v text);
  CREATE TABLE por_numérico (id numeric PRIMARY KEY, v text);
  CREATE TABLE por_fecha (id timestamptz, día date, PRIMARY KEY (id, día));
  CREATE TABLE por_enum (id color PRIMARY KEY, v text);
  CREATE TABLE por_flotante (id double precision PRIMARY KEY, v text);
  CREATE TABLE por_bool (id boolean PRIMARY KEY, v sí);
  CREATE TABLE doble (v text, b integer, a text, PRIMARY KEY (a, b));
  CREATE TABLE "Con Mayúsculas y ""comillas""" ("la ""clave""" integer PRIMARY KEY, "$1" text);
  CREATE TABLE partida (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
  CREATE TABLE partida_1 PARTITION OF partida FOR VALUES FROM (0) TO (5);
  CREATE TABLE partida_2 PARTITION OF partida FOR VALUES FROM (5) TO (100);
  CREATE TABLE padre (id integer PRIMARY KEY, v text);
  CREATE TABLE sin_clave (a integer, b text, p punto);
  CREATE TABLE ancha (id integer PRIMARY KEY, ${WIDE});
  CREATE TABLE vacía (id integer PRIMARY KEY)`;

/** Texts that collations order in unlike ways; all in LATIN1. */
const WORDS = [
  '',
  ' ',
  'a',
  'A',
  'a ',
  'á',
  'B',
  'b',
  'Ñandú',
  'nandu',
  'ñ',
  'z',
  'Z',
  '-a',
  '_',
  '10',
  '9',
  'É',
  "'",
  '\\',
  '\\x',
];

const FILL = `
  INSERT INTO tipos VALUES
    (1, -1, 9223372036854775807, 1.10, 0, 0.1, 0.1::float8 + 0.2, true, '', 'a ', 'a', 'x', 'nombre', '\\x00ff', gen_random_uuid(),
     '0044-03-15 BC', '23:59:59.999999', '10:00:00+04:30', 'infinity', '2024-02-29 23:59:59.9999-04', '1 year -2 mons 3 days -04:05:06.7',
     '{"a" : 1,  "a":2}', '{"b":1, "a": 1.10}', '<?xml version="1.0" standalone="yes"?><a>é</a>', '12.34', '10.0.0.1/24', '10.0.0.0/8',
     '08:00:2b:01:02:03', B'1010', B'', '{{1,NULL},{3,4}}', '{"a,b","NULL",NULL,""," ","\\""}', '{1.5,2}', '[1,5)', '(,1.50]',
     '["2020-01-01 00:00-04",)', '{[1,3),[5,8)}', '(0.1,-0)', '((1,2),(3,4))', 'a:1 b:2', '16/B374D848', 4294967295, 'tipos', 'azul claro',
     '{rojo,"azul claro"}', '(1,"a, b")', true, 'código', '{t,f,NULL}'),
    (2, 0, 0, 'NaN', -0.01, '-0', '-0', false, ' ', '', '', '', '', '', '00000000-0000-0000-0000-000000000000',
     'infinity', '24:00', '00:00:00-15:59', '0001-01-01', '-infinity', '0', 'null', 'null', '', '-0.01', '::1', '::/0', '00:00:00:00:00:00',
     B'0000', B'1', '{}', '{}', '{}', 'empty', 'empty', 'empty', '{}', '(NaN,Infinity)', '((0,0),(0,0))', '', '0/0', 0, NULL, 'rojo',
     '{}', '(,)', false, '', '{}'),
    (3, ${Array.from({ length: 48 }, () => 'NULL').join(', ')}),
    (4, 1, 1, 'Infinity', NULL, '1e-30', '1e300', NULL, E'línea\\ny\\ttab', 'ÑÑ', 'á  ', 'é', NULL, NULL, NULL, '-infinity', '0:0:0',
     '12:00:00+00', '2020-01-01 00:00:00.000001', '2020-01-01', '-1 days +00:00:00.000001', '"\\u00e9"', '"é"', '<b/>text', '-1234567.89',
     '192.168.0.1', NULL, NULL, NULL, NULL, '[2:3]={1,2}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, ROW(NULL, NULL), NULL, NULL, NULL);
  INSERT INTO por_bpchar SELECT DISTINCT left(w, 5)::character(5), w FROM (SELECT DISTINCT ON (left(w, 5)::character(5)) w FROM unnest($words$) AS w) AS d;
  INSERT INTO por_uuid SELECT md5(g::text)::uuid, g FROM generate_series(1, 20) g;
  INSERT INTO por_bytea SELECT decode(substr(md5(g::text), 1, 2 * (g % 7)), 'hex'), g FROM generate_series(1, 6) g;
  INSERT INTO por_numérico SELECT x::numeric, x FROM unnest('{1.0,-5,100,0.00,NaN,Infinity,-Infinity,99999999999999999999999.5,1e-20,20,3}'::text[]) x;
  INSERT INTO por_fecha SELECT timestamptz '2020-01-01' + g * interval '1.5 hours', date '2020-01-01' - g FROM generate_series(1, 12) g;
  INSERT INTO por_fecha VALUES ('infinity', '-infinity'), ('-infinity', '0044-03-15 BC');
  INSERT INTO por_enum VALUES ('rojo', 'x'), ('verde', 'y'), ('azul claro', NULL);
  INSERT INTO por_flotante VALUES ('-0', 'x'), (1, 'y'), ('NaN', ''), ('-Infinity', NULL), (10, 'z'), (9, 'z'), (1e-7, '');
  INSERT INTO por_bool VALUES (true, false), (false, true);
  INSERT INTO por_texto SELECT w, w || '!' FROM unnest($words$) AS w;
  INSERT INTO doble SELECT w, length(w) + g, w FROM unnest($words$) AS w, generate_series(1, 2) g;
  INSERT INTO "Con Mayúsculas y ""comillas""" VALUES (1, '$1'), (2, '%L %s %%');
  INSERT INTO partida SELECT g, 'x' || g FROM generate_series(0, 12) g;
  CREATE TABLE hija (extra text) INHERITS (padre);
  INSERT INTO padre VALUES (1, 'x');
  INSERT INTO hija VALUES (1, 'x', 'y'), (2, 'x', 'y');
  INSERT INTO sin_clave SELECT g % 3, CASE WHEN g % 2 = 0 THEN 'x' END, CASE WHEN g % 5 = 0 THEN ROW(NULL, NULL)::punto END FROM generate_series(1, 30) g;
  INSERT INTO ancha (id, c0, c99, c100, c249) VALUES (1, 'a', 'b', 'c', 'd'), (2, NULL, '', NULL, '')`.replaceAll(
  '$words$',
  `ARRAY[${WORDS.map((word) => `E'${word.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`).join()}]`,
);

const DATABASES: Record<string, string> = {
  'C, UTF8': `ENCODING UTF8 LOCALE 'C'`,
  'ICU es-BO': `ENCODING UTF8 LOCALE_PROVIDER icu ICU_LOCALE 'es-BO' LOCALE 'C'`,
  'glibc C.utf8': `ENCODING UTF8 LOCALE 'C.utf8'`,
  LATIN1: `ENCODING LATIN1 LOCALE 'C'`,
};

describe('equal sides', () => {
  for (const [name, clauses] of Object.entries(DATABASES)) {
    test(`of every type and shape give no candidate: SIIRAyS in ${name}`, async () => {
      const siirays = await databaseLike(name, clauses);
      const sync = name === 'LATIN1' ? await databaseLike('ICU', DATABASES['ICU es-BO']!) : await testDatabase();
      const rig = await RowsRig.create(siirays.url, sync.url, DDL);
      await rig.siirays.query(FILL);
      await rig.copyAll();
      await rig.siirays.query('ANALYZE');
      const small = await rig.scan();
      assert.deepEqual(rig.notComparable, {});
      assert.deepEqual(small.candidates, []);
      const large = await rig.scan({ minRangeRows: 1_000, maxRangeRows: 20_000 });
      assert.deepEqual(large.candidates, []);
      assert.equal(large.compared, small.compared);
      assert.equal(large.total, large.compared);
      assert.ok(large.compared > 200, `${large.compared} rows`);
    });
  }
});
