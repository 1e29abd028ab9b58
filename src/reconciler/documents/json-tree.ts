/** A JSON number by its digits: a JavaScript number would round it (RFC 8259, section 6 "Numbers"). */
export class JsonNumber {
  readonly digits: string;

  constructor(digits: string) {
    this.digits = digits;
  }
}

export type Json = null | boolean | string | JsonNumber | Json[] | JsonObject;
export interface JsonObject {
  [name: string]: Json;
}

/** JSON.parse with access to the source of numbers (ECMA-262, proposal "JSON.parse source text access"). */
const parse = JSON.parse as (
  text: string,
  reviver: (this: unknown, name: string, value: unknown, context: { source?: string }) => unknown,
) => unknown;

/** Reads a JSON text without rounding. @throws SyntaxError */
export function parseJson(text: string): Json {
  return parse(text, (_name, value, { source }) =>
    typeof value === 'number' ? new JsonNumber(source ?? String(value)) : value,
  ) as Json;
}

/** Writes a tree, numbers with the digits that they have. */
export function jsonText(json: Json): string {
  if (json instanceof JsonNumber) return json.digits;
  if (Array.isArray(json)) return `[${json.map(jsonText).join(',')}]`;
  if (typeof json !== 'object' || json === null) return JSON.stringify(json);
  return `{${Object.entries(json)
    .map(([name, value]) => `${JSON.stringify(name)}:${jsonText(value)}`)
    .join(',')}}`;
}

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json) && !(json instanceof JsonNumber);
}

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/** The same text for all decimal texts of one value: 2.50, 2.5 and 25e-1; -0 is 0. */
export function decimalValue(digits: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] = DECIMAL.exec(digits) ?? [];
  if (sign === undefined) return digits;
  const significant = (whole + fraction).replace(/^0+/, '');
  const mantissa = significant.replace(/0+$/, '');
  if (mantissa === '') return '0';
  const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(significant.length - mantissa.length);
  return `${sign === '-' ? '-' : ''}${mantissa}e${power}`;
}

/** The value at a path such as tuberias[2].localidad; undefined where there is none. */
export function valueAt(json: Json, path: string): Json | undefined {
  let at: Json | undefined = json;
  for (const step of path.split(/[.[\]]+/).filter((part) => part !== '')) {
    if (Array.isArray(at)) at = at[Number(step)];
    else at = isObject(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  }
  return at;
}
