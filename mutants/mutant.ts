/** A change that takes one guard out of the program, and the tests that have to notice. */
export interface Mutant {
  /** A short name, for reports and for choosing one. */
  name: string;
  /** What the guard keeps from happening, as a sentence. */
  guard: string;
  /** File that is changed, from the project's root. */
  file: string;
  /** What the guard looks like: found exactly once in the file. */
  find: string;
  /** What is there without it. */
  replace: string;
  /** Test files, of which at least one must fail. The quickest first. */
  tests: string[];
}

/**
 * A file's text without the guard.
 * @throws where the guard is not found exactly once: the list is out of date
 */
export function applyMutant(text: string, { name, file, find, replace }: Mutant): string {
  const at = text.indexOf(find);
  if (at < 0) throw new Error(`${name}: what it takes out is not in ${file} any more`);
  if (text.indexOf(find, at + 1) >= 0) throw new Error(`${name}: what it takes out is in ${file} more than once`);
  return text.slice(0, at) + replace + text.slice(at + find.length);
}
