import type { z } from 'zod';
import { nearestName } from '../../config/nearest-name.ts';
import { invalid, type Mistake } from './problem.ts';

/** Where the values come from: decides how a mistake names its place. */
export type Part = 'body' | 'query';

/**
 * Reads values by their schema.
 * @throws Problem 400 that names every mistake, with the nearest known name for an unknown one
 */
export function read<T extends z.ZodType>(schema: T, values: unknown, part: Part): z.output<T> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const names = namesOf(schema);
  throw invalid(parsed.error.issues.flatMap((issue) => mistakesOf(issue, values, part, names)));
}

function namesOf(schema: z.ZodType): readonly string[] {
  return 'shape' in schema ? Object.keys(schema.shape as Record<string, unknown>) : [];
}

function mistakesOf(issue: z.core.$ZodIssue, values: unknown, part: Part, names: readonly string[]): Mistake[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ ...place([...issue.path, key], part), detail: unknownName(key, names) }));
  }
  if (issue.code === 'invalid_value') {
    const given = at(values, issue.path);
    const known = issue.values.map(String);
    const detail = `expected one of ${known.join(', ')}${suggestion(given, known)}`;
    return [{ ...place(issue.path, part), detail }];
  }
  return [{ ...place(issue.path, part), detail: issue.message }];
}

function at(values: unknown, path: readonly PropertyKey[]): unknown {
  let value = values;
  for (const step of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[step];
  return value;
}

function place(path: readonly PropertyKey[], part: Part): Partial<Mistake> {
  if (part === 'query') return { parameter: String(path[0] ?? '') };
  return { pointer: path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('') };
}

function unknownName(name: string, known: readonly string[]): string {
  return `there is no ${JSON.stringify(shortened(name))}${suggestion(name, known)}`;
}

/** What may have been meant; '' where nothing is near. */
export function suggestion(given: unknown, known: Iterable<string>): string {
  const nearest = typeof given === 'string' ? nearestName(shortened(given), known) : undefined;
  return nearest === undefined ? '' : `: did you mean ${nearest}?`;
}

/** Names are shorter; comparing takes time by length. */
export function shortened(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100)}…` : name;
}
