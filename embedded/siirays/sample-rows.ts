/** The rows of a whole SIIRAyS, made one after the other: no more than one EPSA's rows are held at a time. */
import { CATALOGUES } from './sample-catalogues.ts';
import { createPrng, type Prng } from './sample-prng.ts';
import { EPSA, FUNDING, SECTIONS } from './sample-sections.ts';
import { createWorld, type Section, type TableModel, type World } from './sample-table.ts';
import type { Cell } from './sample-values.ts';

export interface SampleOptions {
  /** Number of EPSAs. About 45 rows each, their share of the catalogues included. */
  epsas: number;
  seed?: number;
  /** At most so many rows of sections an EPSA, for a SIIRAyS of very many: each begins with another section. */
  sectionRows?: number;
  /** id_epsa of the first one. */
  firstId?: number;
  /** Whether 3 of 1,000 EPSAs lack a required field, and so become dead letters; default true. */
  broken?: boolean;
}

export interface SampleRow {
  table: TableModel;
  /** In the order of the table's columns. */
  cells: Cell[];
}

export const FIRST_ID = 1601;

/** Every so-many-th EPSA lacks a required field: 3 of 1,000. */
const BROKEN_EVERY = 333;
const FIRST_BROKEN = 166;

/** Where orphans' id_epsa start: beyond every EPSA. */
const ORPHAN_ID = 90_000_000;

/** The sections that a broken document can lack a field of, in turn. Funding hangs on an installation: not here. */
const BREAKABLE = SECTIONS.filter((section) => section.required.length > 0 && section.name !== FUNDING);

/** Whether the EPSA at this place (from 0) has a row that lacks what the document requires: a dead letter. */
function isBroken(index: number, { broken = true }: SampleOptions): boolean {
  return broken && index % BROKEN_EVERY === FIRST_BROKEN;
}

/** The ids of those EPSAs of a sample whose documents lack a required field, and so become dead letters. */
export function brokenEpsas(options: SampleOptions): number[] {
  return Array.from({ length: options.epsas }, (_, index) => index)
    .filter((index) => isBroken(index, options))
    .map((index) => (options.firstId ?? FIRST_ID) + index);
}

/** All rows, the catalogues first, then EPSA by EPSA, last the orphans. */
export function* sampleRows(options: SampleOptions): Generator<SampleRow> {
  const { epsas, seed = 1, firstId = FIRST_ID, sectionRows } = options;
  const sizes = Object.fromEntries(CATALOGUES.map((catalogue) => [catalogue.name, catalogue.size(epsas)]));
  const world = createWorld(sizes);
  const prng = createPrng(seed, 0);
  for (const catalogue of CATALOGUES) {
    for (let id = 1; id <= sizes[catalogue.name]!; id++) {
      yield { table: catalogue, cells: [String(id), ...catalogue.values(prng, world, id)] };
    }
  }
  const nextId = createCounters(prng);
  for (let index = 0; index < epsas; index++) {
    yield* epsaRows(
      createPrng(seed, 1, index),
      world,
      firstId + index,
      isBroken(index, options) ? index : undefined,
      nextId,
      sectionRows,
    );
  }
  yield* orphanRows(prng, world, firstId, epsas, nextId);
}

type NextId = (table: string) => number;

/** Ids as sequences leave them: rising, with gaps where a transaction was rolled back. */
function createCounters(prng: Prng): NextId {
  const last = new Map<string, number>();
  return (table) => {
    const id = (last.get(table) ?? 0) + (prng.chance(0.03) ? prng.between(2, 30) : 1);
    last.set(table, id);
    return id;
  };
}

/** One EPSA and its sections, at most `most` rows of them. `broken` is its place where it is to lack a required field. */
function* epsaRows(
  prng: Prng,
  world: World,
  id: number,
  broken: number | undefined,
  nextId: NextId,
  most: number | undefined,
): Generator<SampleRow> {
  yield { table: EPSA, cells: [String(id), ...EPSA.values(prng, world, id)] };
  const bare = broken === undefined && prng.chance(0.005);
  if (bare) return;
  // Few rows of each EPSA shall still be rows of every table.
  const start = most === undefined ? 0 : id % SECTIONS.length;
  const sections = [...SECTIONS.slice(start), ...SECTIONS.slice(0, start)];
  let left = most ?? Number.POSITIVE_INFINITY;
  for (const row of allSections(prng, world, id, nextId, sections)) {
    if (left-- <= 0) break;
    yield row;
  }
  if (broken !== undefined) yield brokenRow(prng, world, String(id), Math.floor(broken / BROKEN_EVERY), nextId);
}

function* allSections(
  prng: Prng,
  world: World,
  id: number,
  nextId: NextId,
  sections: readonly Section[],
): Generator<SampleRow> {
  const installations: string[] = [];
  for (const section of sections) {
    if (section.name === FUNDING) {
      yield* fundingRows(prng, world, section, String(id), installations);
      continue;
    }
    const seen = new Set<string>();
    for (let count = prng.pick(section.counts); count > 0; count--) {
      const cells = sectionCells(prng, world, section, String(id), nextId);
      const key = section.ownId ? cells[0]! : String(cells[1]);
      if (seen.has(key)) continue;
      seen.add(key);
      if (section.name === 'instalacion') installations.push(key);
      yield { table: section, cells };
    }
  }
}

/** The cells of a section's row of this EPSA. */
export function sectionCells(prng: Prng, world: World, section: Section, epsa: Cell, nextId: NextId): Cell[] {
  const values = section.values(prng, world, 0);
  return section.ownId ? [String(nextId(section.name)), epsa, ...values] : [epsa, ...values];
}

/** Fundings of each installation, each source once; some rows stand there twice, as a table without a key allows. */
function* fundingRows(
  prng: Prng,
  world: World,
  section: Section,
  epsa: string,
  installations: string[],
): Generator<SampleRow> {
  for (const installation of installations) {
    const sources = new Set<Cell>();
    for (let count = prng.pick(section.counts); count > 0; count--) {
      const [source = null, ...shares] = section.values(prng, world, 0);
      if (sources.has(source)) continue;
      sources.add(source);
      const row = { table: section, cells: [epsa, installation, source, ...shares] };
      for (let copies = prng.chance(0.05) ? prng.between(2, 3) : 1; copies > 0; copies--) yield row;
    }
  }
}

/** A further row with a required value missing; its id is the EPSA's highest, so that it counts everywhere. */
function brokenRow(prng: Prng, world: World, epsa: string, turn: number, nextId: NextId): SampleRow {
  const section = BREAKABLE[turn % BREAKABLE.length]!;
  const cells = sectionCells(prng, world, section, epsa, nextId);
  const column = section.required[turn % section.required.length]!;
  cells[Object.keys(section.columns).indexOf(column)] = null;
  return { table: section, cells };
}

/** Rows of every section that belong to no EPSA, and fundings whose installation is another EPSA's or nobody's. */
function* orphanRows(prng: Prng, world: World, firstId: number, epsas: number, nextId: NextId): Generator<SampleRow> {
  for (const section of SECTIONS) {
    const count = 1 + Math.round(epsas * 0.003 * Math.max(...section.counts));
    for (let index = 0; index < count; index++) {
      const nowhere = section.ownId && prng.chance(0.3) ? null : String(ORPHAN_ID + index);
      if (section.name === FUNDING) {
        const epsa = prng.chance(0.5) ? String(firstId + prng.int(epsas)) : nowhere;
        const installation = String(ORPHAN_ID + prng.int(10));
        yield { table: section, cells: [epsa, installation, ...section.values(prng, world, 0)] };
      } else {
        yield { table: section, cells: sectionCells(prng, world, section, nowhere, nextId) };
      }
    }
  }
}
