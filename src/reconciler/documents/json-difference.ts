import { decimalValue, isObject, type Json, JsonNumber, type JsonObject, jsonText, parseJson } from './json-tree.ts';

/** Texts that are stored and shown are cut to so many characters. */
const SHOWN = 1_000;

/** A place where two documents differ. */
export interface JsonDifference {
  /** Such as tuberias[2].localidad; null: the whole. */
  readonly path: string | null;
  /** JSON texts of the values there, cut at 1,000 characters; null: nothing is there. */
  readonly expected: string | null;
  readonly actual: string | null;
}

/**
 * The first place where two JSON texts differ, by value: 2.50 equals 2.5, the order of an object's members means
 * nothing, that of a list's items does. No number is rounded.
 * @param expected the document as it should be; null: there should be none
 * @returns null where nothing differs
 * @throws SyntaxError where one is no JSON
 */
export function firstDifference(expected: string | null, actual: string | null): JsonDifference | null {
  if (expected === actual) return null;
  const [left, right] = [expected, actual].map((text) => (text === null ? undefined : parseJson(text)));
  return firstTreeDifference(left, right);
}

/** The same for trees; undefined: nothing is there. */
export function firstTreeDifference(expected: Json | undefined, actual: Json | undefined): JsonDifference | null {
  const place = differing(expected, actual, '');
  if (place === null) return null;
  return { path: place.path || null, expected: shown(place.expected), actual: shown(place.actual) };
}

/** A value's JSON text as it is stored with a difference; null where there is no value. */
export function shown(json: Json | undefined): string | null {
  return json === undefined ? null : cut(jsonText(json));
}

/** Cut to what is stored, never in the middle of a surrogate pair. */
export function cut(text: string): string {
  return text.length <= SHOWN ? text : text.slice(0, SHOWN).toWellFormed();
}

interface Place {
  path: string;
  expected: Json | undefined;
  actual: Json | undefined;
}

function differing(expected: Json | undefined, actual: Json | undefined, path: string): Place | null {
  if (Array.isArray(expected) && Array.isArray(actual)) {
    const length = Math.max(expected.length, actual.length);
    for (let at = 0; at < length; at += 1) {
      const place = differing(expected[at], actual[at], `${path}[${at}]`);
      if (place !== null) return place;
    }
    return null;
  }
  if (isObject(expected) && isObject(actual)) {
    for (const name of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const inner = path === '' ? name : `${path}.${name}`;
      const place = differing(member(expected, name), member(actual, name), inner);
      if (place !== null) return place;
    }
    return null;
  }
  if (expected instanceof JsonNumber && actual instanceof JsonNumber) {
    if (decimalValue(expected.digits) === decimalValue(actual.digits)) return null;
  }
  return expected === actual ? null : { path, expected, actual };
}

function member(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
