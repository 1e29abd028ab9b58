/** Values at the edges of every type of PostgreSQL, as texts that the type's input function takes under any setting. */

const HUGE_DIGITS = `${'9'.repeat(400)}.${'7'.repeat(300)}`;
const ODD_TEXTS = [
  '',
  ' ',
  'NULL',
  'it\'s "quoted" \\ and \\\\ {braces} (round), [square]',
  'línea uno\r\nlínea dos\n\ttabulada\r',
  '\u0001\u001f\u007f\u0080\ufeff\ufffd\uffff',
  'ñandú 😀 👩‍👩‍👧 𝒳 e\u0301',
  '_x0041_ __debezium_unavailable_value \\N \\x41 %s $1',
];
const JSON_TEXTS = [
  '{}',
  '[]',
  'null',
  '"\\u0041 \\" \\\\ 😀"',
  `{"b": 1,   "a": [1.50, 1E+2, -0, ${HUGE_DIGITS}, null, true], "": {"x": []}}`,
];

/** By type as format_type() writes it: at least two samples each, NULL apart. */
export const SAMPLES: Readonly<Record<string, readonly string[]>> = {
  boolean: ['t', 'f'],
  bytea: ['\\x', '\\x00', '\\x00ff5c27227b7d0a0d', `\\x${'5c00'.repeat(40)}`],
  '"char"': ['a', '', '\\', '\\377', "'"],
  name: ['', 'ñ'.repeat(31), 'con "comillas" \\'],
  bigint: ['9223372036854775807', '-9223372036854775808', '0', '-1', '9007199254740993', '999999999999999'],
  smallint: ['32767', '-32768', '0'],
  integer: ['2147483647', '-2147483648', '0', '-1'],
  text: ODD_TEXTS,
  oid: ['4294967295', '0', '2147483648'],
  tid: ['(0,1)', '(4294967295,65535)'],
  xid: ['4294967295', '3'],
  cid: ['4294967295', '0'],
  xid8: ['18446744073709551615', '0'],
  json: [...JSON_TEXTS, ' {"a" :\n\t1 , "a": 2.0}  '],
  jsonb: [...JSON_TEXTS, `${'9'.repeat(2_000)}`, '1e2000'],
  jsonpath: ['$', 'strict $."a b"[*] ? (@.x > 1.50 && @.y like_regex "^\\\\d")'],
  xml: [
    '<a/>',
    'sólo texto & más'.replace('&', '&amp;'),
    '<?xml version="1.0"?><r b="1">\r\n<!-- ñ --> <![CDATA[<>]]></r>',
    '',
  ],
  point: ['(1.5,-2.25)', '(0.1,0.30000000000000004)', '(Infinity,NaN)', '(-0,1e-300)'],
  lseg: ['[(0.1,0.2),(3,4)]', '[(0,0),(0,0)]'],
  line: ['{1,-1,0}', '{0.1,0.2,0.30000000000000004}'],
  path: ['[(0.1,0),(1,1)]', '((0,0),(1,1),(2,0))'],
  box: ['(1,1),(0,0)', '(0.30000000000000004,2),(0.1,1)'],
  polygon: ['((0,0),(1,1),(2,0))', '((0.1,0.2))'],
  circle: ['<(0.1,0.2),3>', '<(0,0),0>'],
  cidr: ['10.0.0.0/8', '2001:db8::/32', '0.0.0.0/0', '::/0'],
  inet: ['10.1.2.3', '10.1.2.3/8', '2001:db8::1', '::ffff:1.2.3.4/96', '255.255.255.255/0'],
  macaddr: ['08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'],
  macaddr8: ['08:00:2b:01:02:03:04:05', '00:00:00:00:00:00:00:00'],
  real: ['1.1', '-0', 'NaN', 'Infinity', '-Infinity', '3.4028235e+38', '1e-45', '0.1', '16777216', '1.00000012e+20'],
  'double precision': [
    ...['0.1', '0.30000000000000004', '-0', 'NaN', 'Infinity', '-Infinity', '1.7976931348623157e+308', '5e-324'],
    ...['9007199254740993', '1e+21', '123456789.12345679', '2.2250738585072014e-308'],
  ],
  money: ['92233720368547758.07', '-92233720368547758.08', '0', '-1.5', '1234567.89'],
  aclitem: ['=r/postgres', 'postgres=arwdDxtm/postgres'],
  character: ['a', ' ', 'ñ'],
  'character(7)': ['a', '', 'ñandú 😀', "'\\"],
  bpchar: ['a', 'a  ', ''],
  'character varying': ODD_TEXTS,
  'character varying(12)': ['', 'a ', 'ñandú 😀 {}"'],
  date: ['2010-02-24', '4713-01-01 BC', '5874897-12-31', '0001-01-01', 'infinity', '-infinity', '0044-03-15 BC'],
  'time without time zone': ['00:00:00', '24:00:00', '23:59:59.999999'],
  'time(3) without time zone': ['12:34:56.789', '00:00:00.001'],
  'time with time zone': ['12:00:00+05:45', '23:59:59.999999-15:59:59', '00:00:00+15:59:59', '12:00:00.5-04'],
  'timestamp without time zone': [
    ...[
      '2010-02-24 12:00:00.123456',
      '294276-12-31 23:59:59.999999',
      '4713-01-01 00:00:00 BC',
      'infinity',
      '-infinity',
    ],
    '0001-01-01 00:00:00',
  ],
  'timestamp with time zone': [
    ...['2010-02-24 12:00:00.123456+00', '294276-12-31 23:59:59.999999+00', '4713-01-01 00:00:00+00 BC', 'infinity'],
    ...['-infinity', '0001-01-01 00:00:00+00', '1883-11-18 12:03:57+00', '2024-07-01 00:00:00+05:45'],
  ],
  'timestamp(0) with time zone': ['2010-02-24 12:00:00+00', '1969-12-31 23:59:59+00'],
  interval: [
    ...['0', '1 year 2 mons -3 days +04:05:06.789', '-1 year +2 days -00:00:00.000001', '178000000 years', '30 days'],
    ...['-178000000 years', 'infinity', '-infinity', '00:00:00.000001', '2147483647 days 00:00:01'],
  ],
  'interval day to second(3)': ['1 day 02:03:04.567', '-00:00:00.001'],
  'interval year to month': ['1 year 2 mons', '-5 mons'],
  'bit(1)': ['0', '1'],
  'bit(11)': ['10101010101', '00000000000'],
  'bit varying': ['', '1', '0'.repeat(90)],
  'bit varying(5)': ['', '10110'],
  numeric: [
    ...['0', '0.00', '-0.000', '1.10', 'NaN', 'Infinity', '-Infinity', '1e-16383', '12345678901234567890.1200'],
    ...[HUGE_DIGITS, `-${HUGE_DIGITS}`, '1e1000'],
  ],
  'numeric(12,2)': ['9999999999.99', '-0.01', '0'],
  'numeric(3,5)': ['0.00999', '-0.00001'],
  'numeric(3,-2)': ['99900', '-100', '0'],
  refcursor: ['c1', ''],
  uuid: ['00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  pg_lsn: ['0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848'],
  txid_snapshot: ['10:20:10,14,15', '1:1:'],
  pg_snapshot: ['10:20:10,14,15', '1:1:'],
  tsvector: [`'a':1A,2 'it''s':3B 'con espacio' '\\\\':4`, '', "'ñ'"],
  tsquery: [`'a' & !( 'b' | 'c':*AB ) <2> 'it''s'`, ''],
  oidvector: ['', '1 2 4294967295'],
  int2vector: ['', '1 -2 32767'],
  regproc: ['now', '-'],
  regprocedure: ['now()', 'pg_catalog.abs(integer)', '-'],
  regoper: ['||/', '0'],
  regoperator: ['+(integer,integer)', '0'],
  regclass: ['pg_class', 'pg_catalog.pg_type', '-', '999999'],
  regtype: ['integer', 'timestamp(3) with time zone', 'text[]', '-'],
  regconfig: ['simple', 'spanish'],
  regdictionary: ['simple', 'spanish_stem'],
  regnamespace: ['pg_catalog', '-'],
  regrole: ['postgres', '-'],
  regcollation: ['"C"', '-'],
  int4range: ['empty', '[1,5)', '(,)', '[,7)', '[-2147483648,2147483647)'],
  int8range: ['empty', '[-9223372036854775808,9223372036854775807)', '[1,)'],
  numrange: ['empty', '[0.10,1.2500]', '(-Infinity,NaN)', '(,5.0]', `[1,${HUGE_DIGITS})`],
  tsrange: [
    'empty',
    '["2010-02-24 12:00:00","2010-02-24 12:00:00.000001"]',
    '[infinity,)',
    '(,"4713-01-01 00:00:00 BC")',
  ],
  tstzrange: ['empty', '["2010-02-24 12:00:00+00",infinity]', '(,"2024-07-01 00:00:00+05:45")'],
  daterange: ['empty', '[2010-02-24,2010-03-01)', '[-infinity,infinity]', '(,"0044-03-15 BC")'],
  int4multirange: ['{}', '{[1,5),[7,9)}', '{(,)}'],
  int8multirange: ['{}', '{[-9223372036854775808,0),[1,)}'],
  nummultirange: ['{}', '{[0.10,1.2500],(3,NaN)}'],
  tsmultirange: ['{}', '{["2010-02-24 12:00:00","2010-02-24 13:00:00")}'],
  tstzmultirange: ['{}', '{["2010-02-24 12:00:00+00","2010-02-24 13:00:00+00"),[infinity,)}'],
  datemultirange: ['{}', '{[2010-02-24,2010-03-01),[infinity,)}'],
};

/** Types of pg_catalog that no column can hold a value of, each with the reason. */
export const WITHOUT_VALUES: Readonly<Record<string, string>> = {
  pg_node_tree: 'its input function refuses every text',
  pg_ndistinct: 'its input function refuses every text',
  pg_dependencies: 'its input function refuses every text',
  pg_mcv_list: 'its input function refuses every text',
  gtsvector: 'a key of an index, its input function refuses every text',
  pg_brin_bloom_summary: 'a summary of an index, its input function refuses every text',
  pg_brin_minmax_multi_summary: 'a summary of an index, its input function refuses every text',
};

/** Types of one's own and of extensions, made by OWN_TYPES. */
export const OWN_TYPES = `
  CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION isn; CREATE EXTENSION cube;
  CREATE EXTENSION seg; CREATE EXTENSION lo;
  CREATE SCHEMA "otro Esquema"; GRANT USAGE ON SCHEMA "otro Esquema" TO PUBLIC;
  CREATE TYPE estado AS ENUM ('', 'activo', 'in''activo', 'año "😀"', 'z');
  CREATE TYPE "otro Esquema"."Tipo, raro" AS ENUM ('uno', 'DOS');
  CREATE DOMAIN positivo AS numeric(20,3) CHECK (VALUE > 0);
  CREATE DOMAIN muy_positivo AS positivo NOT NULL DEFAULT 1 CHECK (VALUE > 0.5);
  CREATE DOMAIN lista AS integer[] CHECK (array_length(VALUE, 1) < 9);
  CREATE DOMAIN momento AS timestamptz;
  CREATE TYPE punto3 AS (x double precision, y real, "nombre raro" text);
  CREATE TYPE cosa AS (id bigint, p punto3, cuando timestamptz, e estado, bytes bytea, lista text[]);
  CREATE TYPE rango_texto AS RANGE (subtype = text, multirange_type_name = multirango_texto);
  CREATE TYPE rango_flotante AS RANGE (subtype = double precision)`;

export const OWN_SAMPLES: Readonly<Record<string, readonly string[]>> = {
  citext: ['Abc', 'aBC', ''],
  hstore: ['', '"a b"=>"1", c=>NULL, "q\\"u"=>"\\\\"'],
  ltree: ['Top.Science', ''],
  ltxtquery: ['Europe & Russia*@'],
  lquery: ['*.Europe@.*{1,2}'],
  isbn13: ['978-0-393-04002-9'],
  cube: ['(0.1, 2),(3, 4)', '(1)'],
  seg: ['1.50 .. 2.5', '~3.0'],
  lo: ['0', '4294967295'],
  estado: ['', 'activo', "in'activo", 'año "😀"'],
  '"otro Esquema"."Tipo, raro"': ['uno', 'DOS'],
  positivo: ['1.5', '99999999999999999.999'],
  muy_positivo: ['0.501', '7'],
  lista: ['{1,NULL,3}', '[0:1]={7,8}', '{{1},{2}}'],
  momento: ['2010-02-24 12:00:00.123456+00', 'infinity'],
  punto3: ['(0.30000000000000004,1.1,"a, \\"b\\" \\\\ (c)")', '(,,)', '(NaN,-0,"")'],
  cosa: [
    '(1,"(0.1,0.2,uno)","2024-07-01 00:00:00+05:45",activo,"\\\\x00ff","{a,NULL,\\"NULL\\",\\"\\"}")',
    '(,,,,,)',
    '(-9223372036854775808,"(,,)",infinity,"año \\"😀\\"",,{})',
  ],
  rango_texto: ['["a, b","c\\"d")', 'empty', '(,"")'],
  multirango_texto: ['{["a, b",c),[x,y)}', '{}'],
  rango_flotante: ['[0.1,0.30000000000000004)', '(,NaN]'],
};
