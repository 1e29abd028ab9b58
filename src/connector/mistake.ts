import { nearestName } from '../config/nearest-name.ts';

/** Keys and list places from the top of a YAML file down to a value. */
export type Path = readonly (string | number)[];

/** Something wrong in a connector file, before it has a line. */
export interface Mistake {
  readonly path: Path;
  /** Whether the key or the value is wrong. */
  readonly on: 'key' | 'value';
  readonly message: string;
}

/** A mistake with its place, which is counted from 1 as editors do. */
export interface PlacedMistake {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Every mistake of all connector files, one a line: file:line:column: message. */
export class ConnectorError extends Error {
  readonly mistakes: readonly PlacedMistake[];

  constructor(mistakes: readonly PlacedMistake[]) {
    super(mistakes.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'));
    this.name = 'ConnectorError';
    this.mistakes = mistakes;
  }
}

/** A name that is none of the known ones: says which are, and which of them was probably meant. */
export function unknownName(what: string, name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  const meant = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  return `${what} ${shown(name)}: expected ${known.length === 0 ? 'none' : `one of ${[...new Set(known)].join(', ')}`}${meant}`;
}

/** A value for a message, short. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = typeof value === 'string' ? value : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text === '' ? "''" : text;
}

/** Dotted form of a path for messages: sections.tuberias.fields.sector, lookups[1]. */
export function pathText(path: Path): string {
  return path.map((part, place) => (typeof part === 'number' ? `[${part}]` : place === 0 ? part : `.${part}`)).join('');
}
