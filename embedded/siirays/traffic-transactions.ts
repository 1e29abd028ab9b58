/** The kinds of transactions that SIIRAyS's users make, and one of them at random. */
import type pg from 'pg';
import { insertRows } from './sample.ts';
import { CATALOGUES } from './sample-catalogues.ts';
import type { Prng } from './sample-prng.ts';
import { EPSA, SECTIONS } from './sample-sections.ts';
import { type Catalogue, createWorld, type World } from './sample-table.ts';
import {
  changeKey,
  deleteRows,
  findEpsa,
  freshId,
  type Hand,
  insertRow,
  moveRow,
  pickSection,
  renameRow,
  takeOut,
  updateRows,
} from './traffic-rows.ts';

export interface TransactionResult {
  kind: Kind;
  committed: boolean;
  /** Rows written, those that a rollback took back included. */
  rows: number;
}

const ROOT_AND_SECTIONS = [EPSA, ...SECTIONS];

/** Catalogues of which one row shows in few documents. */
const WIDE_CATALOGUES = ['localidad', 'rar', 'entidad'];

const wide = CATALOGUES.filter((catalogue) => WIDE_CATALOGUES.includes(catalogue.name));
const narrow = CATALOGUES.filter((catalogue) => !WIDE_CATALOGUES.includes(catalogue.name));
const open = wide.filter((catalogue) => catalogue.dispensable);

/** What each kind does between BEGIN and COMMIT, and how often it comes, in parts of the sum of all. */
const KINDS = {
  insert: { weight: 120, run: insertSome },
  update: { weight: 340, run: (hand) => updateRows(hand, pickTable(hand.prng), hand.prng.between(1, 10)) },
  delete: { weight: 100, run: (hand) => deleteRows(hand, pickSection(hand.prng), hand.prng.between(1, 4)) },
  move: { weight: 70, run: (hand) => moveRow(hand, pickSection(hand.prng)) },
  manyTables: { weight: 80, run: (hand) => several(hand, hand.prng.between(3, 10)) },
  changeKey: { weight: 20, run: (hand) => changeKey(hand, pickSection(hand.prng)) },
  besideLongText: { weight: 30, run: besideLongText },
  newEpsa: { weight: 15, run: newEpsa },
  removeEpsa: { weight: 15, run: removeEpsa },
  reinsertEpsa: { weight: 10, run: reinsertEpsa },
  renumberEpsa: { weight: 3, run: renumberEpsa },
  renameWide: { weight: 10, run: (hand) => updateRows(hand, hand.prng.pick(wide), 1) },
  renameNarrow: { weight: 1, run: (hand) => renameRow(hand, hand.prng.pick(narrow)) },
  newCatalogueRow: { weight: 8, run: newCatalogueRow },
  removeCatalogueRow: { weight: 4, run: (hand) => deleteRows(hand, hand.prng.pick(open), 1) },
  bulk: { weight: 2, run: (hand) => updateRows(hand, pickSection(hand.prng), 300) },
  savepoint: { weight: 40, run: withSavepoint },
  rollback: { weight: 30, run: (hand) => several(hand, hand.prng.between(1, 6)) },
} satisfies Record<string, { weight: number; run: (hand: Hand) => Promise<number> }>;

export type Kind = keyof typeof KINDS;

/** Names of all kinds of transactions. */
export const TRANSACTION_KINDS = Object.keys(KINDS) as Kind[];

const TOTAL_WEIGHT = Object.values(KINDS).reduce((sum, { weight }) => sum + weight, 0);

/**
 * One whole transaction at random. No row that it leaves lacks what the documents require.
 * @param world what rows may refer to; read from the database where it is not given
 * @throws the server's error, after a ROLLBACK; a deadlock (40P01) is possible where several connections work
 */
export async function randomTransaction(client: pg.ClientBase, prng: Prng, world?: World): Promise<TransactionResult> {
  return transaction(client, prng, pickKind(prng), world ?? (await readWorld(client)));
}

/** One transaction of this kind. */
export async function transaction(
  client: pg.ClientBase,
  prng: Prng,
  kind: Kind,
  world: World,
): Promise<TransactionResult> {
  await client.query('BEGIN');
  try {
    const rows = await KINDS[kind].run({ client, prng, world });
    const committed = kind !== 'rollback';
    await client.query(committed ? 'COMMIT' : 'ROLLBACK');
    return { kind, committed, rows };
  } catch (error) {
    // Where the connection is gone, the server rolls back, and the first error is the one to tell.
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** The catalogues as the database has them. */
export async function readWorld(client: pg.ClientBase): Promise<World> {
  const parts = CATALOGUES.map(({ name, columns }) => {
    return `SELECT '${name}' AS name, coalesce(max(${Object.keys(columns)[0]}), 1) AS size FROM ${name}`;
  });
  const { rows } = await client.query<{ name: string; size: number }>(parts.join(' UNION ALL '));
  return createWorld(Object.fromEntries(rows.map(({ name, size }) => [name, Number(size)])));
}

function pickKind(prng: Prng): Kind {
  let draw = prng.int(TOTAL_WEIGHT);
  for (const kind of TRANSACTION_KINDS) {
    draw -= KINDS[kind].weight;
    if (draw < 0) return kind;
  }
  throw new Error('the weights of the kinds do not add up');
}

function pickTable(prng: Prng) {
  return prng.chance(0.2) ? EPSA : pickSection(prng);
}

async function insertSome(hand: Hand): Promise<number> {
  const epsa = await findEpsa(hand);
  if (epsa === null) return 0;
  let rows = 0;
  for (let count = hand.prng.between(1, 4); count > 0; count--)
    rows += await insertRow(hand, pickSection(hand.prng), epsa);
  return rows;
}

/** So many steps over different tables. */
async function several(hand: Hand, steps: number): Promise<number> {
  let rows = 0;
  for (let step = 0; step < steps; step++) rows += await oneStep(hand);
  return rows;
}

function oneStep(hand: Hand): Promise<number> {
  const { prng } = hand;
  const draw = prng.int(10);
  if (draw < 3) return insertSome(hand);
  if (draw < 7) return updateRows(hand, pickTable(prng), prng.between(1, 3));
  return draw < 9 ? deleteRows(hand, pickSection(prng), 1) : moveRow(hand, pickSection(prng));
}

/** What lies between a savepoint and the return to it never happened; what comes before and after did. */
async function withSavepoint(hand: Hand): Promise<number> {
  let rows = await oneStep(hand);
  await hand.client.query('SAVEPOINT maybe');
  rows += await several(hand, hand.prng.between(1, 4));
  await hand.client.query(hand.prng.chance(0.7) ? 'ROLLBACK TO SAVEPOINT maybe' : 'RELEASE SAVEPOINT maybe');
  return rows + (await oneStep(hand));
}

/** Changes a short column of a row whose long text then does not travel: an unchanged TOAST value. */
async function besideLongText({ client, prng }: Hand): Promise<number> {
  const long = 'FROM epsa WHERE octet_length(observacion) > 8000';
  const { rowCount } = await client.query(
    `UPDATE epsa SET sigla_epsa = $1 WHERE ctid = (SELECT ctid ${long} ORDER BY id_epsa
       OFFSET (SELECT floor($2::float8 * count(*))::integer ${long}) LIMIT 1 FOR UPDATE SKIP LOCKED)`,
    [`sigla ${prng.int(1_000_000)}`, prng.next()],
  );
  return rowCount ?? 0;
}

async function newEpsa(hand: Hand): Promise<number> {
  const { client, prng, world } = hand;
  const id = await freshId(hand, EPSA);
  let rows = await insertRows(client, EPSA, [[String(id), ...EPSA.values(prng, world, id)]]);
  for (const section of SECTIONS) {
    for (let count = prng.pick(section.counts); count > 0; count--) rows += await insertRow(hand, section, String(id));
  }
  return rows;
}

/** Deletes an EPSA with its rows; one time in four it leaves rows behind, as SIIRAyS has no foreign keys. */
async function removeEpsa(hand: Hand): Promise<number> {
  const epsa = await findEpsa(hand);
  if (epsa === null) return 0;
  const sections = hand.prng.chance(0.25) ? SECTIONS.slice(hand.prng.int(SECTIONS.length)) : SECTIONS;
  const taken = await takeOut(hand, [EPSA, ...sections], epsa);
  return [...taken.values()].reduce((sum, rows) => sum + rows.length, 0);
}

/** Deletes an EPSA with all rows and inserts them again, every other time with other general data. */
async function reinsertEpsa(hand: Hand): Promise<number> {
  const { client, prng, world } = hand;
  const epsa = await findEpsa(hand);
  if (epsa === null) return 0;
  const taken = await takeOut(hand, ROOT_AND_SECTIONS, epsa);
  if (prng.chance(0.5) && taken.get(EPSA)?.length) {
    taken.set(EPSA, [[epsa, ...EPSA.values(prng, world, Number(epsa))]]);
  }
  let rows = 0;
  for (const [table, cells] of taken)
    if (cells.length > 0) rows += cells.length + (await insertRows(client, table, cells));
  return rows;
}

/** Gives an EPSA another id, and its rows with it. */
async function renumberEpsa(hand: Hand): Promise<number> {
  const epsa = await findEpsa(hand);
  if (epsa === null) return 0;
  const id = await freshId(hand, EPSA);
  let rows = 0;
  for (const { name } of ROOT_AND_SECTIONS) {
    const { rowCount } = await hand.client.query(`UPDATE ${name} SET id_epsa = $1 WHERE id_epsa = $2`, [id, epsa]);
    rows += rowCount ?? 0;
  }
  return rows;
}

/** A new row of a large catalogue: every other time under an id that rows may already name in vain. */
async function newCatalogueRow(hand: Hand): Promise<number> {
  const { client, prng, world } = hand;
  const catalogue: Catalogue = prng.pick(open);
  const named = prng.chance(0.5) ? world.some(prng, catalogue.name) : null;
  const id = named === null ? await freshId(hand, catalogue) : Number(named);
  return insertRows(client, catalogue, [[String(id), ...catalogue.values(prng, world, id)]]);
}
