/** What SIIRAyS's users do to single rows. Every function works in the transaction that is open and gives a row count. */
import type pg from 'pg';
import { TEXT_VALUES } from '../../src/postgres/session.ts';
import { insertRows } from './sample.ts';
import type { Prng } from './sample-prng.ts';
import { FUNDING, SECTIONS } from './sample-sections.ts';
import type { Section, TableModel, World } from './sample-table.ts';
import { type Cell, cut, sentence } from './sample-values.ts';

/** What a transaction works with. */
export interface Hand {
  client: pg.ClientBase;
  prng: Prng;
  world: World;
}

/** A row in reach: where it stands, and its cells in the order of the columns. */
interface Found {
  ctid: string;
  cells: Cell[];
}

const columnsOf = (table: TableModel): string[] => Object.keys(table.columns);

/** Runs a statement whose values come back as PostgreSQL's text, one array of cells per row. */
async function textRows(client: pg.ClientBase, sql: string, values: unknown[]): Promise<Cell[][]> {
  const config: pg.QueryArrayConfig = { text: sql, values, rowMode: 'array', types: TEXT_VALUES };
  const { rows } = await client.query<Cell[]>(config);
  return rows;
}

/**
 * Up to `count` neighbouring rows from a random place on, locked. Rows that another transaction works on are passed
 * over, so that users seldom wait for each other.
 */
export async function findRows({ client, prng }: Hand, table: TableModel, count: number): Promise<Found[]> {
  const id = columnsOf(table)[0]!;
  const order =
    table.name === FUNDING
      ? ''
      : `ORDER BY ${columnsOf(table)
          .slice(0, table.ownId ? 1 : 2)
          .join(', ')}`;
  const rows = await textRows(
    client,
    `SELECT ctid, ${columnsOf(table).join(', ')} FROM ${table.name}
     WHERE ${id} >= (SELECT floor(min(${id}) + $1::float8 * (max(${id}) - min(${id}) + 1))::integer FROM ${table.name})
     ${order} LIMIT $2 FOR UPDATE SKIP LOCKED`,
    [prng.next(), count],
  );
  return rows.map(([ctid, ...cells]) => ({ ctid: ctid!, cells }));
}

/** The id of a random EPSA, or null where there is none (free). */
export async function findEpsa({ client, prng }: Hand): Promise<string | null> {
  const rows = await textRows(
    client,
    `SELECT id_epsa FROM epsa
     WHERE id_epsa >= (SELECT floor(min(id_epsa) + $1::float8 * (max(id_epsa) - min(id_epsa) + 1))::integer FROM epsa)
     ORDER BY id_epsa LIMIT 1`,
    [prng.next()],
  );
  return rows[0]?.[0] ?? null;
}

/** A new id: above the highest, with a gap, since others insert at the same time. */
export async function freshId({ client, prng }: Hand, table: TableModel): Promise<number> {
  const id = columnsOf(table)[0]!;
  const rows = await textRows(client, `SELECT coalesce(max(${id}), 0) FROM ${table.name}`, []);
  return Number(rows[0]![0]) + prng.between(1, 200);
}

/** Inserts a row into a section of the EPSA. */
export async function insertRow(hand: Hand, section: Section, epsa: string): Promise<number> {
  const { client, prng, world } = hand;
  if (section.name === FUNDING) return insertFunding(hand, section, epsa);
  const values = section.values(prng, world, 0);
  const own = section.ownId ? [String(await freshId(hand, section))] : [];
  return insertRows(client, section, [[...own, epsa, ...values]]);
}

/** A further source of one of the EPSA's installations, or the same row once more. */
async function insertFunding({ client, prng, world }: Hand, section: Section, epsa: string): Promise<number> {
  if (prng.chance(0.3)) {
    const again = `INSERT INTO ${FUNDING} SELECT f.* FROM ${FUNDING} f WHERE id_epsa = $1 LIMIT 1`;
    return (await client.query(again, [epsa])).rowCount ?? 0;
  }
  const installations = await textRows(
    client,
    `SELECT id_instalacion FROM instalacion WHERE id_epsa = $1 ORDER BY id_instalacion`,
    [epsa],
  );
  if (installations.length === 0) return 0;
  const installation = prng.pick(installations)[0]!;
  const [source = null, ...shares] = section.values(prng, world, 0);
  // The same source twice with different shares would leave open which one counts.
  const there = await textRows(
    client,
    `SELECT FROM ${FUNDING} WHERE id_epsa = $1 AND id_instalacion = $2 AND id_fuente_financiamiento = $3`,
    [epsa, installation, source],
  );
  return there.length > 0 ? 0 : insertRows(client, section, [[epsa, installation, source, ...shares]]);
}

/** Changes one to three columns of up to `count` rows; ids, and the EPSA they belong to, stay. */
export async function updateRows(hand: Hand, table: TableModel, count: number): Promise<number> {
  const { prng, world } = hand;
  if (table.name === FUNDING) return updateFunding(hand, table);
  let changed = 0;
  for (const { ctid, cells } of await findRows(hand, table, count)) {
    const fresh = table.values(prng, world, table.ownId ? Number(cells[0]) : 0);
    const all = columnsOf(table);
    const open = all.slice(-fresh.length);
    const chosen = new Set(Array.from({ length: prng.between(1, 3) }, () => prng.pick(open)));
    const values: [string, Cell][] = [...chosen].map((name) => [name, fresh[open.indexOf(name)]!]);
    changed += await updateAt(hand, table, ctid, values);
  }
  return changed;
}

/** Sets columns of the row at a place. Where the new key is taken, nothing happens. */
async function updateAt({ client }: Hand, table: TableModel, ctid: string, values: [string, Cell][]): Promise<number> {
  const sets = values.map(([name], index) => `${name} = $${index + 2}::${table.columns[name]}`).join(', ');
  const taken = table.name === 'ubicacion' ? `AND NOT EXISTS (${UBICACION_TAKEN})` : '';
  const statement = `UPDATE ${table.name} t SET ${sets} WHERE ctid = $1::tid ${taken}`;
  const { rowCount } = await client.query(statement, [ctid, ...values.map(([, value]) => value)]);
  return rowCount ?? 0;
}

const UBICACION_TAKEN = 'SELECT FROM ubicacion o WHERE (o.id_epsa, o.id_localidad) = (t.id_epsa, $2::integer)';

/** New shares for a funding and its doubles, which stay equal. */
async function updateFunding(hand: Hand, table: TableModel): Promise<number> {
  const [found] = await findRows(hand, table, 1);
  if (!found) return 0;
  const [, ...shares] = table.values(hand.prng, hand.world, 0);
  const { rowCount } = await hand.client.query(
    `UPDATE ${FUNDING} SET porcentaje_credito = $4, porcentaje_donacion = $5, porcentaje_aporte_propio = $6, porcentaje_otros = $7
     WHERE (id_epsa, id_instalacion, id_fuente_financiamiento) = ($1, $2, $3)`,
    [...found.cells.slice(0, 3), ...shares],
  );
  return rowCount ?? 0;
}

/** Gives a row of a catalogue another text in one of its columns. */
export async function renameRow(hand: Hand, catalogue: TableModel): Promise<number> {
  const { prng } = hand;
  const [found] = await findRows(hand, catalogue, 1);
  if (!found) return 0;
  const texts = columnsOf(catalogue).filter((column) => catalogue.columns[column]!.startsWith('varchar'));
  const column = prng.pick(texts);
  const length = Number(/\d+/.exec(catalogue.columns[column]!)![0]);
  return updateAt(hand, catalogue, found.ctid, [[column, cut(sentence(prng, prng.between(1, 4)), length)]]);
}

/** Deletes up to `count` neighbouring rows. */
export async function deleteRows(hand: Hand, table: TableModel, count: number): Promise<number> {
  const places = (await findRows(hand, table, count)).map((found) => found.ctid);
  const { rowCount } = await hand.client.query(`DELETE FROM ${table.name} WHERE ctid = ANY ($1::tid[])`, [places]);
  return rowCount ?? 0;
}

/** Gives a row of a section to another EPSA. */
export async function moveRow(hand: Hand, section: Section): Promise<number> {
  const [found] = await findRows(hand, section, 1);
  const epsa = await findEpsa(hand);
  if (!found || epsa === null) return 0;
  const same = { ubicacion: 'id_localidad', [FUNDING]: '(id_instalacion, id_fuente_financiamiento)' }[section.name];
  const of = (alias: string) => same?.replaceAll('id_', `${alias}.id_`);
  const taken = same
    ? `AND NOT EXISTS (SELECT FROM ${section.name} o WHERE o.id_epsa = $2 AND ${of('o')} = ${of('t')})`
    : '';
  const { rowCount } = await hand.client.query(
    `UPDATE ${section.name} t SET id_epsa = $2::integer WHERE ctid = $1::tid ${taken}`,
    [found.ctid, epsa],
  );
  return rowCount ?? 0;
}

/** Gives a row of a section another id of its own. */
export async function changeKey(hand: Hand, section: Section): Promise<number> {
  const [found] = await findRows(hand, section, 1);
  if (!found || !section.ownId) return 0;
  return updateAt(hand, section, found.ctid, [[columnsOf(section)[0]!, String(await freshId(hand, section))]]);
}

/** Deletes an EPSA's rows of these tables and gives them back. */
export async function takeOut(
  { client }: Hand,
  tables: readonly TableModel[],
  epsa: string,
): Promise<Map<TableModel, Cell[][]>> {
  const taken = new Map<TableModel, Cell[][]>();
  for (const table of tables) {
    const columns = columnsOf(table).join(', ');
    taken.set(
      table,
      await textRows(client, `DELETE FROM ${table.name} WHERE id_epsa = $1 RETURNING ${columns}`, [epsa]),
    );
  }
  return taken;
}

/** A section at random, those with more rows more often. */
export function pickSection(prng: Prng): Section {
  return prng.pick(prng.chance(0.5) ? SECTIONS : LARGE_SECTIONS);
}

const LARGE_SECTIONS = SECTIONS.filter((section) => Math.max(...section.counts) >= 5);
