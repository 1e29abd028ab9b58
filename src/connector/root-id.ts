import type { CompiledConnector } from './compiled.ts';

/** A whole number as PostgreSQL writes it, of no more digits than every integer type holds. */
const WHOLE_NUMBER = '^(0|-?[1-9][0-9]{0,17})$';

/** Whether a root can have this id. Projecting one that it cannot have would fail. */
export function isRootId({ root }: Pick<CompiledConnector, 'root'>, id: string): boolean {
  return root.idType === 'text' || new RegExp(WHOLE_NUMBER).test(id);
}

/** The same as an SQL condition on a column of text. */
export function isRootIdSql({ root }: Pick<CompiledConnector, 'root'>, column: string): string {
  return root.idType === 'text' ? 'true' : `${column} ~ '${WHOLE_NUMBER}'`;
}
