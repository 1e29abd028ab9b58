import type { TableShape } from '../kafka/change-event.ts';

/** A table's columns are others than those that its replica was made for. */
export class ShapeChanged extends Error {
  override readonly name = 'ShapeChanged';

  constructor(was: TableShape, is: TableShape) {
    super(
      `${is.schema}.${is.table} has changed its shape in SIIRAyS; its replica was made for the old one and stands still. ` +
        `It was (${describe(was)}), it is (${describe(is)})`,
    );
  }
}

function describe({ columns, key }: TableShape): string {
  const keyNames = key.map((place) => columns[place]!.name);
  return `${columns.map(({ name, type }) => `${name} ${type}`).join(', ')}; key ${keyNames.join(', ') || 'none'}`;
}
