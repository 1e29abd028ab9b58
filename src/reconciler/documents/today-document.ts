import type { Definition, FieldType, RowContent, Section } from '../../connector/definition.ts';
import { decimalValue, isObject, type Json, JsonNumber, type JsonObject, jsonText } from './json-tree.ts';

/**
 * Told of each value that today's service changes.
 * @param field such as representante[].nombre
 * @param change what it does, such as `is trimmed`
 */
export type OnChange = (field: string, change: string) => void;

/**
 * A document as FASTAAPS's service of today takes and shows it: what the adapter `restore` compares, on both sides. The
 * types come from the connector's definition. Text is trimmed; a number where the model has text becomes text; a number
 * with decimals where it has an integer loses them; numbers are doubles; fields that the model does not know are ignored;
 * null is the same as absent, and so is an empty list.
 */
export function todayDocument(document: Json, definition: Definition, onChange: OnChange = ignore): Json {
  return content(document, definition.root, '', onChange);
}

/** One text for all documents that are equal by value: members in the order of the definition. */
export function todayText(document: Json, definition: Definition, onChange: OnChange = ignore): string {
  return jsonText(todayDocument(document, definition, onChange));
}

function ignore(): void {}

function content(json: Json, { fields, sections }: RowContent, place: string, onChange: OnChange): Json {
  if (!isObject(json)) return json;
  const at = (name: string): string => (place === '' ? name : `${place}.${name}`);
  const members: [string, Json][] = [];
  for (const { name, type } of fields) {
    const value = member(json, name);
    if (value !== null) members.push([name, field(value, type, at(name), onChange)]);
  }
  for (const one of sections) {
    const value = member(json, one.name);
    const taken = value === null ? null : section(value, one, at(one.name), onChange);
    if (taken !== null) members.push([one.name, taken]);
  }
  return Object.fromEntries(members);
}

/** null: it is left out. */
function section(value: Json, part: Section, place: string, onChange: OnChange): Json {
  switch (part.shape) {
    case 'object':
      return content(value, part, place, onChange);
    case 'text':
      return field(value, 'text', place, onChange);
    case 'list':
    case 'list of text': {
      if (!Array.isArray(value)) return value;
      if (value.length === 0) return null;
      const inner = `${place}[]`;
      return value.map((item) =>
        part.shape === 'list' ? content(item, part, inner, onChange) : field(item, 'text', inner, onChange),
      );
    }
  }
}

function member(object: JsonObject, name: string): Json {
  return (Object.hasOwn(object, name) ? object[name] : null) ?? null;
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const WHOLE = /^[+-]?\d+$/;
/** What JavaScript and Python hold for blank, together. */
const BLANK = '[\\s\\u001c-\\u001f\\u0085\\ufeff]';
const BLANKS = new RegExp(`^${BLANK}+|${BLANK}+$`, 'g');

function field(value: Json, type: FieldType, place: string, onChange: OnChange): Json {
  if (type === 'json') return free(value, place, onChange);
  if (typeof value === 'string') return textField(trimmed(value, place, onChange), type, place, onChange);
  if (!(value instanceof JsonNumber)) return value;
  const number = double(value.digits, place, onChange);
  if (type === 'integer') {
    const whole = new JsonNumber(plain(Math.trunc(Number(number.digits))));
    if (whole.digits !== number.digits) onChange(place, 'loses its decimals');
    return whole;
  }
  if (type === 'number') return number;
  if (type === 'boolean') return number.digits === '1' ? true : number.digits === '0' ? false : number;
  onChange(place, 'is a number that becomes text');
  return number.digits;
}

function textField(text: string, type: FieldType, place: string, onChange: OnChange): Json {
  if ((type === 'number' && DECIMAL.test(text)) || (type === 'integer' && WHOLE.test(text))) {
    onChange(place, 'is text that becomes a number');
    return double(text, place, onChange);
  }
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

/** A json column's value has no model: its texts are trimmed, and the order of members is made the same. */
function free(value: Json, place: string, onChange: OnChange): Json {
  if (typeof value === 'string') return trimmed(value, place, onChange);
  if (value instanceof JsonNumber) return double(value.digits, place, onChange);
  if (Array.isArray(value)) return value.map((item) => free(item, place, onChange));
  if (!isObject(value)) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, free(value[name]!, place, onChange)]));
}

function trimmed(text: string, place: string, onChange: OnChange): string {
  if (isPlain(text.charCodeAt(0)) && isPlain(text.charCodeAt(text.length - 1))) return text;
  const rest = text.replace(BLANKS, '');
  if (rest !== text) onChange(place, 'is trimmed');
  return rest;
}

/** Surely no blank: most texts begin and end so. */
function isPlain(code: number): boolean {
  return code > 0x20 && code < 0x7f;
}

/** Today's service computes in doubles; a number beyond their range stays as it is. */
function double(digits: string, place: string, onChange: OnChange): JsonNumber {
  const number = Number(digits);
  if (!Number.isFinite(number)) return new JsonNumber(digits);
  const taken = plain(number);
  if (taken !== digits && decimalValue(taken) !== decimalValue(digits)) onChange(place, 'is rounded');
  return new JsonNumber(taken);
}

function plain(number: number): string {
  return String(number === 0 ? 0 : number);
}
