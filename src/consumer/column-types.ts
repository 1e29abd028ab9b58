import type pg from 'pg';

/**
 * Types of PostgreSQL whose text means something only in the database it comes from (regclass names a table, aclitem a
 * role). Their values are kept as text, as are those of types that this server does not have (enums, domains, extensions).
 */
const LOCAL_MEANING =
  /^(reg[a-z]+|aclitem|pg_node_tree|pg_ndistinct|pg_dependencies|pg_mcv_list|cstring|refcursor)(\[\])*$/;

/**
 * The types that replica columns get for SIIRAyS's types as format_type() writes them: the same where this server's
 * catalogue has them, else text. One query for all of them.
 */
export async function replicaTypes(client: pg.ClientBase, types: readonly string[]): Promise<Map<string, string>> {
  const candidates = [...new Set(types)];
  const known = new Set<string>();
  // to_regtype() takes names through search_path, where a table or a user's own type may stand under any name:
  // only pg_catalog's base, range and multirange types, and arrays of them, count.
  const { rows } = await client.query<{ type: string }>(
    `SELECT c.type FROM unnest($1::text[]) AS c(type)
      JOIN pg_catalog.pg_type t ON t.oid = to_regtype(c.type)
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE n.nspname = 'pg_catalog' AND t.typtype IN ('b', 'r', 'm')`,
    [candidates],
  );
  for (const { type } of rows) if (!LOCAL_MEANING.test(type)) known.add(type);
  return new Map(candidates.map((type) => [type, known.has(type) ? type : 'text']));
}
