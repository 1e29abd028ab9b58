import { Digits } from '../connector/reference-projection.ts';

/** jsonb keeps a number's digits but writes no exponent: on both sides numbers are written as jsonb writes them. */
export function normalised<T>(json: T): T {
  if (json === null || typeof json !== 'object') return json;
  if (Array.isArray(json)) return json.map(normalised) as T;
  if (json instanceof Digits) return new Digits(withoutExponent(json.digits)) as T;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, normalised(value)])) as T;
}

function withoutExponent(digits: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/.exec(digits);
  if (!match) return digits;
  const [, sign, whole, fraction = '', exponent] = match;
  const point = whole!.length + Number(exponent);
  const all = whole! + fraction;
  const padded = point <= 0 ? '0'.repeat(1 - point) + all : all.padEnd(point, '0');
  const at = Math.max(1, point);
  const rest = padded.slice(at);
  return `${sign}${padded.slice(0, at)}${rest ? `.${rest}` : ''}`;
}
