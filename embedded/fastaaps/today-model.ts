/**
 * What today's service does to a document before it looks at it: text is trimmed, fields that its model does not know
 * are dropped, values are turned into the model's types. It computes in doubles, as this does.
 */

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
}

/** The document as today's service takes it. What cannot be turned into the model's type stays: validation names it. */
export function asToday(value: unknown, schema: Record<string, unknown>): unknown {
  return taken(value, schema as Schema);
}

function taken(value: unknown, schema: Schema): unknown {
  const text = typeof value === 'string' ? value.trim() : value;
  if (Array.isArray(text)) return text.map((item) => taken(item, schema.items ?? {}));
  if (typeof text === 'object' && text !== null) return known(text as Record<string, unknown>, schema);
  const types = typesOf(schema);
  if (types.length === 0 || types.includes(typeName(text))) return text;
  for (const type of types) {
    const turned = turnedInto(type, text);
    if (turned !== undefined) return turned;
  }
  return text;
}

function known(value: Record<string, unknown>, { properties }: Schema): Record<string, unknown> {
  if (!properties) return value;
  const fields = Object.entries(value).flatMap(([name, field]) => {
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    return schema && field !== null ? [[name, taken(field, schema)] as const] : [];
  });
  return Object.fromEntries(fields);
}

function typesOf(schema: Schema): string[] {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return alternatives.flatMap(typesOf);
  return schema.type === undefined ? [] : [schema.type].flat();
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function turnedInto(type: string, value: unknown): unknown {
  if (type === 'string' && typeof value === 'number') return String(value);
  if (type === 'number' && typeof value === 'number') return value;
  if (type === 'number' && typeof value === 'string' && isNumeric(value)) return Number(value);
  if (type === 'integer' && typeof value === 'number') return Math.trunc(value);
  if (type === 'integer' && typeof value === 'string' && /^[+-]?\d+$/.test(value)) return Number(value);
  if (type === 'boolean' && (value === 0 || value === 1)) return value === 1;
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return undefined;
}

function isNumeric(text: string): boolean {
  return text !== '' && Number.isFinite(Number(text));
}
