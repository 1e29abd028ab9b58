import type { z } from 'zod';
import { duration } from '../../config/units.ts';
import { collectionName } from '../../postgres/name-parts.ts';
import type { RunOptions } from '../types.ts';
import { shortened, suggestion } from './mistakes.ts';
import { invalid, type Mistake } from './problem.ts';
import type { runRequest } from './schemas.ts';
import type { ApiConnector } from './services.ts';

export type RunRequest = z.output<typeof runRequest>;

const MAX_TIME = duration('1s', '7d');
const MAX_TIME_MS = 7 * 86_400_000;

/**
 * What a request for a new run asks for, everything filled in.
 * @throws Problem 400 that names every mistake
 */
export function runOptionsOf(request: RunRequest, connectors: readonly ApiConnector[]): RunOptions {
  const mistakes: Mistake[] = [];
  const mode = request.mode ?? 'repair';
  const chosen = chooseConnectors(request.connector, connectors, mistakes);
  const options: RunOptions = {
    mode,
    direct: request.direct ?? false,
    connectors: chosen.map(({ name }) => name),
    ids: readIds(request.ids, chosen, mistakes),
    tables: readTables(request.tables, chosen, mistakes),
    target: request.target ?? null,
    stopAfter: request.stopAfter ?? null,
    maxTimeMs: readMaxTime(request.maxTime, mistakes),
  };
  mistakes.push(...contradictions(options, chosen));
  if (mistakes.length > 0) throw invalid(mistakes);
  return options;
}

function chooseConnectors(
  given: RunRequest['connector'],
  connectors: readonly ApiConnector[],
  mistakes: Mistake[],
): ApiConnector[] {
  if (given === undefined) return [...connectors];
  const names = typeof given === 'string' ? [given] : given;
  names.forEach((name, place) => {
    if (connectors.some((connector) => connector.name === name)) return;
    const pointer = typeof given === 'string' ? '/connector' : `/connector/${place}`;
    mistakes.push({ pointer, detail: unknownConnector(name, connectors) });
  });
  return connectors.filter(({ name }) => names.includes(name));
}

/** What is said of a connector that there is not. */
export function unknownConnector(name: string, connectors: readonly ApiConnector[]): string {
  const known = connectors.map((connector) => connector.name);
  const hint = suggestion(name, known) || `; there is ${known.join(', ')}`;
  return `there is no connector ${JSON.stringify(shortened(name))}${hint}`;
}

function readIds(
  given: RunRequest['ids'],
  connectors: readonly ApiConnector[],
  mistakes: Mistake[],
): readonly string[] | null {
  if (given === undefined) return null;
  const numbers = connectors.length > 0 && connectors.every(({ root }) => root.idType === 'integer');
  given.forEach((id, place) => {
    const fits = typeof id === 'number' || (id !== '' && !id.includes('\0') && (!numbers || /^-?\d{1,19}$/.test(id)));
    if (!fits) mistakes.push({ pointer: `/ids/${place}`, detail: `expected ${numbers ? 'a whole number' : 'an id'}` });
  });
  return [...new Set(given.map(String))];
}

function readTables(
  given: RunRequest['tables'],
  connectors: readonly ApiConnector[],
  mistakes: Mistake[],
): readonly string[] | null {
  if (given === undefined) return null;
  const known = new Set(connectors.flatMap(({ tables }) => tables.map(collectionName)));
  const found = given.map((name, place) => {
    const table = known.has(name) ? name : known.has(`public.${name}`) ? `public.${name}` : undefined;
    // Without a connector there is no table either: one mistake is told once.
    if (table === undefined && connectors.length > 0) {
      const hint = suggestion(name, known) || suggestion(`public.${name}`, known);
      const detail = `no connector asked for reads a table ${JSON.stringify(shortened(name))}${hint}`;
      mistakes.push({ pointer: `/tables/${place}`, detail });
    }
    return table ?? name;
  });
  return [...new Set(found)];
}

function readMaxTime(given: RunRequest['maxTime'], mistakes: Mistake[]): number | null {
  if (given === undefined) return null;
  const ms = typeof given === 'number' ? Math.round(given * 1000) : MAX_TIME.safeParse(given).data;
  if (ms !== undefined && ms >= 1000 && ms <= MAX_TIME_MS) return ms;
  mistakes.push({
    pointer: '/maxTime',
    detail: 'expected seconds, or a duration such as 30s, 10m or 2h, from 1s to 7d',
  });
  return null;
}

function contradictions(options: RunOptions, connectors: readonly ApiConnector[]): Mistake[] {
  const mistakes: Mistake[] = [];
  const { mode, direct, ids, tables, target } = options;
  const wrong = (pointer: string, detail: string) => mistakes.push({ pointer, detail });
  if (ids !== null && tables !== null) wrong('/tables', 'either ids (documents) or tables (rows) may be chosen');
  if (direct && tables !== null) wrong('/tables', 'a direct run compares documents: choose ids');
  if (mode === 'restore') {
    if (ids !== null) wrong('/ids', 'restore replaces the whole set');
    if (tables !== null) wrong('/tables', 'restore replaces the whole set');
    if (target === null) wrong('/target', 'restore needs the db_tag to replace, e.g. backup');
    for (const connector of connectors) {
      if (connector.target.tag !== target || connector.target.adapter === 'restore') continue;
      wrong('/target', `${target} is the live set of ${connector.name}: only repair may change it`);
    }
  } else if (target !== null) {
    wrong('/target', 'only mode restore has a target');
  }
  return mistakes;
}
