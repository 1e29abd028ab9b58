import type { z } from 'zod';
import { type Mistake, type Path, pathText, shown, unknownName } from './mistake.ts';
import { connectorSchema, KEY_SEPARATOR } from './schema.ts';

type Issue = z.core.$ZodIssue;

/** What the zod schema finds wrong in a connector file's data, in words for those who write such files. */
export function schemaMistakes(raw: unknown): Mistake[] {
  const result = connectorSchema.safeParse(raw);
  if (result.success) return [];
  return result.error.issues.flatMap((issue) => translate(issue, [], raw));
}

function translate(issue: Issue, base: Path, raw: unknown): Mistake[] {
  const path = [...base, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
  const found = valueAt(raw, path);
  const value = (message: string): Mistake[] => [
    { path, on: 'value', message: `${path.length === 0 ? 'the file' : pathText(path)}: ${message}` },
  ];
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = issue.message.split(KEY_SEPARATOR);
      const at = path.length === 0 ? '' : `${pathText(path)}: `;
      return issue.keys.map((key) => ({
        path: [...path, key],
        on: 'key',
        message: `${at}${unknownName('unknown key', key, known)}`,
      }));
    }
    case 'invalid_union': {
      if (issue.errors.length === 0) {
        const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
        return found === undefined
          ? missingKey(path, options)
          : value(unknownName('unknown value', shown(found), options));
      }
      // The branch that takes this kind of value tells what is wrong within it; the others only that it is another kind.
      const branch = issue.errors.find(
        (issues) => !issues.some(({ code, path: at }) => code === 'invalid_type' && at.length === 0),
      );
      if (branch !== undefined) return branch.flatMap((inner) => translate(inner, path, raw));
      const kinds = issue.errors
        .flat()
        .flatMap((inner) => (inner.code === 'invalid_type' ? [kindName(inner.expected)] : []));
      return found === undefined
        ? missingKey(path, kinds)
        : value(`expected ${kinds.join(' or ')}, found ${shown(found)}`);
    }
    case 'invalid_type':
      return found === undefined
        ? missingKey(path, [kindName(issue.expected)])
        : value(`expected ${kindName(issue.expected)}, found ${shown(found)}`);
    case 'invalid_value': {
      const options = issue.values.map(String);
      return found === undefined
        ? missingKey(path, options)
        : value(unknownName('unknown value', shown(found), options));
    }
    case 'invalid_format':
      return value(`expected ${issue.message}, found ${shown(found)}`);
    case 'invalid_key':
      return [
        { path, on: 'key', message: `${pathText(path)}: expected ${issue.issues[0]?.message ?? 'another name'}` },
      ];
    case 'too_small':
      return value('expected at least one');
    default:
      return value(issue.message);
  }
}

/** Told at the map that lacks the key. */
function missingKey(path: Path, expected: readonly string[]): Mistake[] {
  const outer = path.slice(0, -1);
  const where = outer.length === 0 ? '' : `${pathText(outer)}: `;
  return [
    { path: outer, on: 'key', message: `${where}the key ${path.at(-1)} is missing: expected ${expected.join(' or ')}` },
  ];
}

const KIND_NAMES: Record<string, string> = {
  null: 'nothing',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
};

function kindName(kind: string): string {
  return KIND_NAMES[kind] ?? kind;
}

/** The value at a path; undefined where there is none. */
export function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}
