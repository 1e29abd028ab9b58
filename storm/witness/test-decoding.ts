/**
 * Reads the lines of PostgreSQL's contrib plugin test_decoding (manual, F.46), which is nobody's but the witness's: the
 * pipeline reads pgoutput.
 */

/** PostgreSQL's text of each value. */
export type Row = Record<string, string | null>;

export type Change =
  | { op: 'insert'; table: string; row: Row }
  /** `before` holds the old identity where it changed, or all of it under REPLICA IDENTITY FULL; `kept` are unchanged TOAST values. */
  | { op: 'update'; table: string; before: Row | null; row: Row; kept: string[] }
  | { op: 'delete'; table: string; before: Row }
  | { op: 'truncate'; tables: string[] };

const HEAD = /^table (.+?): (INSERT|UPDATE|DELETE|TRUNCATE):/;
const COLUMN = / ([a-z_][a-z0-9_]*)\[((?:[^[\]]|\[\])*)\]:('(?:[^']+|'')*'|[^ ]+)/y;
const OLD = ' old-key:';
const NEW = ' new-tuple:';
const UNCHANGED = 'unchanged-toast-datum';

/** @throws for a line that is no change, or whose tuple is not told (a table without replica identity) */
export function parseChange(line: string): Change {
  const head = HEAD.exec(line);
  if (!head) throw new Error(`test_decoding said what the witness does not know: ${line.slice(0, 40)}`);
  const [start, names, op] = head;
  const rest = line.slice(start.length);
  if (op === 'TRUNCATE') return { op: 'truncate', tables: names!.split(', ').map(tableName) };
  const table = tableName(names!);
  if (op === 'INSERT') return { op: 'insert', table, row: whole(table, parseTuple(rest, 0), rest).row };
  if (op === 'DELETE') return { op: 'delete', table, before: whole(table, parseTuple(rest, 0), rest).row };
  if (!rest.startsWith(OLD)) return { op: 'update', table, before: null, ...whole(table, parseTuple(rest, 0), rest) };
  const old = parseTuple(rest, OLD.length);
  if (!rest.startsWith(NEW, old.end)) throw new Error(`an update of ${table} without its new tuple`);
  const { row, kept } = whole(table, parseTuple(rest, old.end + NEW.length), rest);
  return { op: 'update', table, before: old.row, row, kept };
}

function tableName(qualified: string): string {
  return qualified.slice(qualified.indexOf('.') + 1);
}

interface Tuple {
  row: Row;
  kept: string[];
  /** Where it ends in the text. */
  end: number;
}

/** Under REPLICA IDENTITY FULL, the old tuple of a row of nulls has no column. */
function parseTuple(text: string, start: number): Tuple {
  const row: Row = {};
  const kept: string[] = [];
  let end = start;
  COLUMN.lastIndex = start;
  for (let match = COLUMN.exec(text); match; match = COLUMN.exec(text)) {
    const [, name, , value] = match;
    if (value === UNCHANGED) kept.push(name!);
    else row[name!] = toldValue(value!);
    end = COLUMN.lastIndex;
  }
  return { row, kept, end };
}

function whole(table: string, { row, kept, end }: Tuple, text: string): Omit<Tuple, 'end'> {
  if (end < text.length) throw new Error(`a row of ${table} that the witness cannot read, from place ${end} on`);
  return { row, kept };
}

/** Booleans come as true and false, PostgreSQL's text form is t and f; SIIRAyS has none. */
function toldValue(told: string): string | null {
  if (told === 'null') return null;
  return told.startsWith("'") ? told.slice(1, -1).replaceAll("''", "'") : told;
}
