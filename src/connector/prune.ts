import { nearestName } from '../config/nearest-name.ts';
import type { Mistake, Path } from './mistake.ts';
import { type ConnectorFile, connectorSchema } from './schema.ts';
import { schemaMistakes, valueAt } from './schema-mistakes.ts';

/** Keys that, wrong or misspelt, leave the meaning of the section's other keys open. */
const DECISIVE = ['shape', 'rows', 'by', 'key', 'lookups', 'fields', 'sections', 'column', 'table', 'id'];

/**
 * The connector without the parts in which the schema found mistakes: a field, or a whole section. So the names in all
 * other parts can be checked in the same run. null where too little is left.
 */
export function withoutMistakes(raw: unknown): ConnectorFile | null {
  const rest = structuredClone(raw);
  for (;;) {
    const result = connectorSchema.safeParse(rest);
    if (result.success) return result.data;
    const removed = schemaMistakes(rest).map((mistake) => remove(rest, mistake));
    if (!removed.includes(true)) return null;
  }
}

function remove(rest: unknown, { path }: Mistake): boolean {
  const [top] = path;
  if (top === 'source' || top === 'target') return replace(rest, top);
  if (top !== 'root' && top !== 'sections') return path.length === 1 && removeAt(rest, path);
  const part = innermostSection(path);
  const [kind, name] = path.slice(part.length);
  if (kind === 'fields' && name !== undefined) return removeAt(rest, [...part, kind, name]);
  if (kind !== undefined && nearestName(String(kind), DECISIVE) === undefined) return removeAt(rest, [...part, kind]);
  return top === 'sections' && part.length > 1 && removeAt(rest, part);
}

/** Source and target matter little to the names in sections: their mistakes are told, and anything valid stands in. */
function replace(rest: unknown, top: 'source' | 'target'): boolean {
  const instead = top === 'source' ? { kind: 'postgres' } : { path: '/any' };
  if (typeof rest !== 'object' || rest === null) return false;
  Object.assign(rest, { [top]: instead });
  return true;
}

/** [root], or [sections, name, sections, name, …]. */
function innermostSection(path: Path): Path {
  if (path[0] === 'root') return ['root'];
  let length = 0;
  while (path[length] === 'sections' && path[length + 1] !== undefined) length += 2;
  return path.slice(0, length);
}

function removeAt(rest: unknown, path: Path): boolean {
  const outer = valueAt(rest, path.slice(0, -1));
  const key = path.at(-1)!;
  if (typeof outer !== 'object' || outer === null || !Object.hasOwn(outer, key)) return false;
  return Reflect.deleteProperty(outer, key);
}
