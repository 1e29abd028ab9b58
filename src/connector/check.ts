import type { TableRef } from './compiled.ts';
import type { ColumnRef, Definition, Lookup, RowContent, Section } from './definition.ts';
import { type Mistake, type Path, pathText, unknownName } from './mistake.ts';

/** A reference to a column, for the check against a catalogue: where it stands, and what it must be. */
export interface ColumnUse {
  readonly table: TableRef;
  readonly column: string;
  readonly path: Path;
  readonly on: 'key' | 'value';
}

/**
 * What is wrong in a definition although each of its keys is valid: look-ups that are not declared or declared twice,
 * names that stand twice in one object, sections that show nothing.
 */
export function checkDefinition(definition: Definition): Mistake[] {
  const { root } = definition;
  return [...checkContent(root, ['root'], []), ...root.sections.flatMap((section) => checkSection(section, []))];
}

function checkSection(section: Section, outer: Path): Mistake[] {
  const path = [...outer, 'sections', section.name];
  const mistakes = checkContent(section, path, path);
  if (section.column !== null)
    mistakes.push(...checkColumn(section.column, section.lookups, [...path, 'column'], 'value'));
  else if (section.fields.length + section.sections.length === 0) {
    mistakes.push({ path, on: 'key', message: `${pathText(path)}: shows nothing: expected fields or sections` });
  }
  return [...mistakes, ...section.sections.flatMap((nested) => checkSection(nested, path))];
}

/** `at` leads to fields and look-ups, `sectionsAt` to sections: both are the same but for the root. */
function checkContent(content: RowContent, at: Path, sectionsAt: Path): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const [index, lookup] of content.lookups.entries()) {
    const path = [...at, 'lookups', index];
    const earlier = content.lookups.slice(0, index).map(({ name }) => name);
    if (earlier.includes(lookup.name)) {
      mistakes.push({
        path,
        on: 'value',
        message: `${pathText(path)}: there is a look-up ${lookup.name} already: give this one another name with \`as\``,
      });
    }
    if (lookup.from !== null && !earlier.includes(lookup.from)) {
      const fromPath = [...path, 'from'];
      const message = `${pathText(fromPath)}: ${unknownName('unknown look-up', lookup.from, earlier)} (they stand before this one)`;
      mistakes.push({ path: fromPath, on: 'value', message });
    }
  }
  for (const field of content.fields)
    mistakes.push(...checkColumn(field, content.lookups, [...at, 'fields', field.name], 'value'));
  const names = new Set(content.fields.map(({ name }) => name));
  for (const { name } of content.sections.filter((section) => names.has(section.name))) {
    const path = [...sectionsAt, 'sections', name];
    mistakes.push({ path, on: 'key', message: `${pathText(path)}: there is a field ${name} beside it already` });
  }
  return mistakes;
}

function checkColumn({ lookup }: ColumnRef, lookups: readonly Lookup[], path: Path, on: 'key' | 'value'): Mistake[] {
  const names = lookups.map(({ name }) => name);
  if (lookup === null || names.includes(lookup)) return [];
  return [{ path, on, message: `${pathText(path)}: ${unknownName('unknown look-up', lookup, names)}` }];
}
