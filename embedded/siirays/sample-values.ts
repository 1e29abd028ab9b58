/** Values as an old system holds them: mostly plausible, some empty, some odd. All are PostgreSQL text or null. */
import type { Prng } from './sample-prng.ts';

export type Cell = string | null;

const FIRST_NAMES = [
  'María',
  'Juan Carlos',
  'Sofía',
  'Wálter',
  'Ñusta',
  'Édgar',
  'Jhonny',
  'Lidia',
  'Begoña',
  'Iván',
  'Úrsula',
  'Freddy',
  'Nicanora',
  'Rómulo',
  'Zenón',
  'Primitiva',
];

const LAST_NAMES = [
  'Mamani',
  'Quispe',
  'Choque',
  'Condori',
  'Flores',
  'Vargas',
  'Muñoz',
  'Núñez',
  'Peña',
  'Gutiérrez',
  'Rodríguez',
  "O'Connor",
  'Ibáñez',
  'Yapura',
  'Apaza',
  'Calle',
  'De la Quintana',
];

const WORDS = (
  'agua potable red captación vertiente pozo perforado tanque elevado tubería fuga turbiedad cloro planta tratamiento ' +
  'laguna oxidación alcantarillado colector cámara séptica medidor conexión domiciliaria tarifa mora asamblea socios ' +
  'directorio sequía crecida río contaminación minera estiaje bomba sumergible energía caseta válvula micromedición'
).split(' ');

/** What people and programs leave behind in text columns. */
const ODD_TEXTS = [
  '',
  '',
  ' ',
  '   ',
  '-',
  '0',
  'NULL',
  'null',
  'S/N',
  's/d',
  'N/A',
  ' con blanco delante',
  'con blanco detrás ',
  'dos  blancos',
  'tabulador\taquí',
  'línea uno\nlínea dos\r\nlínea tres',
  'comillas "dobles" y \'simples\'',
  'barra \\ invertida \\n \\N \\',
  'llaves {"a": [1, null]} y , comas',
  '¿Ñandú? ¡Así es! «áéíóúü»',
  'e\u0301 compuesta y ﬁ ligada',
  '💧🚰 agua segura 👩🏽‍🔧',
  'عربى و עברית y 中文',
  'ancho\u200bcero y \u00a0 fijo',
  '\u0001control\u001f y \u007f',
  '<b>negrita</b> &amp; &',
  '%s $HOME $1 :nombre ?',
  "'; DROP TABLE epsa; --",
  '__debezium_unavailable_value',
  '∑∞≠ ½ €',
];

/** An odd text, cut to `limit` characters. */
export function oddText(prng: Prng, limit: number): string {
  return cut(prng.pick(ODD_TEXTS), limit);
}

/** Cuts to a number of characters as PostgreSQL counts them: code points. */
export function cut(text: string, limit: number): string {
  return text.length <= limit ? text : [...text].slice(0, limit).join('');
}

/** Null, an odd text, or what `make` gives. */
export function textOr(prng: Prng, limit: number, make: () => string): Cell {
  const draw = prng.next();
  if (draw < 0.12) return null;
  return draw < 0.17 ? oddText(prng, limit) : cut(make(), limit);
}

/** As textOr, but never null. */
export function sureText(prng: Prng, limit: number, make: () => string): string {
  return textOr(prng, limit, make) ?? cut(make(), limit);
}

export function personName(prng: Prng): string {
  return `${prng.pick(FIRST_NAMES)} ${prng.pick(LAST_NAMES)} ${prng.pick(LAST_NAMES)}`;
}

export function lastName(prng: Prng): string {
  return prng.pick(LAST_NAMES);
}

/** A sentence of so many words. */
export function sentence(prng: Prng, words: number): string {
  const text = Array.from({ length: words }, () => prng.pick(WORDS)).join(' ');
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

/** A remark of a paragraph; one in a hundred is long. */
export function remark(prng: Prng): string {
  return prng.chance(0.01) ? longRemark(prng) : sentence(prng, prng.between(3, 40));
}

/** So long and so random a text that PostgreSQL keeps it out of line (manual, 65.2 "TOAST"). */
export function longRemark(prng: Prng): string {
  return incompressible(prng, prng.between(9_000, 20_000));
}

const SYMBOLS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Random characters, which no compression shortens below 3/4. */
function incompressible(prng: Prng, length: number): string {
  let text = '';
  for (let index = 0; index < length; index++) text += SYMBOLS[prng.int(64)];
  return text;
}

export function phone(prng: Prng): string {
  const number = prng.between(2_000_000, 79_999_999);
  return prng.chance(0.2) ? `(${prng.between(2, 4)}) ${number} int. ${prng.int(100)}` : String(number);
}

export function resolution(prng: Prng): string {
  return `AAPS ${prng.chance(0.5) ? 'RAR' : 'RA'} N° ${prng.between(1, 999)}/${prng.between(1999, 2019)}`;
}

/** A date in ISO form; now and then one that a person has mistyped. */
export function date(prng: Prng): string {
  if (prng.chance(0.01)) return prng.pick(['0001-01-01', '1900-01-01', '9999-12-31', '2000-02-29']);
  const day = prng.between(1, 28);
  return `${prng.between(1990, 2019)}-${twoDigits(prng.between(1, 12))}-${twoDigits(day)}`;
}

/** A numeric(precision, scale): plausible, or zero, a limit of the type, negative, NaN. */
export function numeric(prng: Prng, precision: number, scale: number, plausible: number): string {
  const draw = prng.next();
  if (draw < 0.06) return prng.pick(['0', `0.${'0'.repeat(scale)}`]);
  if (draw < 0.07) return `${'9'.repeat(precision - scale)}.${'9'.repeat(scale)}`;
  if (draw < 0.075) return `-${'9'.repeat(precision - scale)}.${'9'.repeat(scale)}`;
  if (draw < 0.076) return 'NaN';
  return (prng.int(plausible * 10 ** scale) / 10 ** scale).toFixed(scale);
}

export function numericOrNull(prng: Prng, precision: number, scale: number, plausible: number): Cell {
  return prng.chance(0.1) ? null : numeric(prng, precision, scale, plausible);
}

const ODD_DOUBLES = [
  'NaN',
  'Infinity',
  '-Infinity',
  '0',
  '0.30000000000000004',
  '5e-324',
  '1.7976931348623157e+308',
  '-2.2250738585072014e-308',
  '9007199254740993',
  '1e+23',
  '123456789.12345679',
];

/** A double precision: a coordinate, or one of the values that get lost where doubles pass through decimals. */
export function double(prng: Prng, least: number, most: number): Cell {
  const draw = prng.next();
  if (draw < 0.1) return null;
  if (draw < 0.16) return prng.pick(ODD_DOUBLES);
  return String(least + prng.next() * (most - least));
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}
