import { type Document, isMap, isNode, isScalar, type LineCounter, type Node, visit } from 'yaml';
import type { Mistake, Path, PlacedMistake } from './mistake.ts';

/** What the YAML parser itself found wrong. */
export function syntaxMistakes(file: string, document: Document, lines: LineCounter, text: string): PlacedMistake[] {
  const told = document.errors.map(({ code, message, pos }) => {
    if (code !== 'DUPLICATE_KEY') return { file, ...place(lines, pos[0]), message };
    // The parser gives the end of what stands before the key.
    const [between = ''] = /^(\s|#.*)*/.exec(text.slice(pos[0])) ?? [];
    const offset = pos[0] + between.length;
    const name = /^[^\s:]+/.exec(text.slice(offset))?.[0];
    return { file, ...place(lines, offset), message: `${name} stands twice in one map: expected each name once` };
  });
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return;
      const message = `*${alias.source} points nowhere: expected an anchor &${alias.source} before it`;
      told.push({ file, ...place(lines, alias.range?.[0] ?? 0), message });
    },
  });
  return told;
}

/** Gives each mistake the line and column of the key or value in the YAML text. */
export function placeMistakes(
  file: string,
  document: Document,
  lines: LineCounter,
  mistakes: readonly Mistake[],
): PlacedMistake[] {
  return mistakes.map(({ path, on, message }) => ({ file, ...place(lines, offsetOf(document, path, on)), message }));
}

function place(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

/** Where the node stands, or the innermost one around it that the file has. */
function offsetOf(document: Document, path: Path, on: 'key' | 'value'): number {
  for (let length = path.length; length > 0; length--) {
    const inner = path.slice(0, length);
    const key = keyNode(document, inner);
    const value = document.getIn(inner, true);
    const exact = length === path.length;
    // An empty value has no text of its own: its key shows where it is.
    const hasText = isNode(value) && !(isScalar(value) && value.value === null);
    const node = exact && on === 'value' && hasText ? value : (key ?? (isNode(value) ? value : undefined));
    if (node?.range) return node.range[0];
  }
  return 0;
}

function keyNode(document: Document, path: Path): Node | undefined {
  const map = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(map)) return undefined;
  const pair = map.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)));
  return isNode(pair?.key) ? pair.key : undefined;
}
