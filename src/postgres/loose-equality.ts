/**
 * Types whose values can be equal though their texts differ, so that a unique index holds `1` and `1.0` to be one key:
 * numeric keeps its scale, interval and jsonb their form, floats tell 0 from -0, and character and bpchar ignore
 * trailing spaces (PostgreSQL manual, 8.1.2, 8.3, 8.5.4, 8.14). Also in arrays and ranges of them.
 */
const LOOSE = /^(numeric|decimal|real|double precision|character(?! varying)|bpchar|interval|jsonb|num(multi)?range)\b/;

/** @param type as format_type() writes it; every type that is not known here is compared as its text by us */
export function isLooselyEqual(type: string): boolean {
  return LOOSE.test(type);
}
