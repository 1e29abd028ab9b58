import { createHash } from 'node:crypto';
import { quoteIdentifier } from '../postgres/identifier.ts';

/** A statement that is prepared once per session, under a name that follows from its text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export function statement(text: string): Statement {
  return { name: createHash('sha256').update(text).digest('hex').slice(0, 20), text };
}

/** `unnest($3::text[], $4::text[]) AS k(v1, v2)`: one array per column, the first parameter being `$from`. */
export function unnested(from: number, columns: number): string {
  const arrays = Array.from({ length: columns }, (_, i) => `$${from + i}::text[]`);
  return `unnest(${arrays.join(', ')}) AS k(${names(columns).join(', ')})`;
}

/** `k.v1::integer`: the i-th unnested text (from 0) as the column's type. */
export function value(place: number, type: string): string {
  return type === 'text' ? `k.v${place + 1}` : `k.v${place + 1}::${type}`;
}

/** `t."a" = k.v1::integer AND …` for the columns of a key. */
export function keyEquals(columns: readonly { name: string; type: string }[]): string {
  return columns.map(({ name, type }, i) => `t.${quoteIdentifier(name)} = ${value(i, type)}`).join(' AND ');
}

function names(columns: number): string[] {
  return Array.from({ length: columns }, (_, i) => `v${i + 1}`);
}
