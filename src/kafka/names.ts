/**
 * Writes a PostgreSQL name so that Avro (specification, "Names": `[A-Za-z_][A-Za-z0-9_]*`) and Kafka (`[A-Za-z0-9._-]`)
 * both take it: every other UTF-16 unit becomes `_xHHHH_`. Injective, since an underscore that could begin an escape is
 * escaped itself, whatever follows the four digits: the underscore that makes it one may come from the next unit's own
 * escape. `número` -> `n_x00FA_mero`, `2020` -> `_x0032_020`.
 */
export function escapeName(name: string): string {
  let out = '';
  for (let i = 0; i < name.length; i++) {
    const unit = name[i]!;
    const plain = /[A-Za-z_]/.test(unit) || (i > 0 && /[0-9]/.test(unit));
    const looksEscaped = unit === '_' && /^_x[0-9A-F]{4}/.test(name.slice(i, i + 6));
    out += plain && !looksEscaped ? unit : `_x${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}_`;
  }
  return out;
}
