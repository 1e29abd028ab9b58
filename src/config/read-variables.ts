import { readFileSync } from 'node:fs';
import type { ConfigurationProblem } from './configuration-error.ts';
import { fileVariable, type Values, type Variable, type Variables } from './variable.ts';

export type Environment = Record<string, string | undefined>;

/**
 * Reads a set of variables. A variable set to nothing counts as not set, since compose files make such ones. What is
 * wrong is added to `problems`, and the variable left out of the result.
 */
export function readVariables<V extends Variables>(
  variables: V,
  env: Environment,
  problems: ConfigurationProblem[],
): Partial<Values<V>> {
  const values: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries(variables)) {
    const text = variable.secret ? secretText(name, env, problems) : env[name] || undefined;
    const known = problems.some((problem) => problem.variable === name || problem.variable === fileVariable(name));
    if (known) continue;
    const given = text ?? variable.default;
    if (given === undefined) {
      if (variable.required) problems.push({ variable: name, given: 'nothing', expected: expectation(variable) });
      continue;
    }
    const result = variable.schema.safeParse(given);
    if (result.success) {
      values[name] = result.data;
    } else {
      const expected = result.error.issues.map((issue) => issue.message).join('; ');
      problems.push({ variable: name, given: variable.secret ? 'a secret value' : JSON.stringify(given), expected });
    }
  }
  return values as Partial<Values<V>>;
}

/** A secret's text, from the variable or from the file that NAME_FILE names, whose last newline does not count. */
function secretText(name: string, env: Environment, problems: ConfigurationProblem[]): string | undefined {
  const direct = env[name] || undefined;
  const fileName = fileVariable(name);
  const path = env[fileName] || undefined;
  if (path === undefined) return direct;
  if (direct !== undefined) {
    problems.push({ variable: name, given: `both ${name} and ${fileName}`, expected: 'one of the two' });
    return undefined;
  }
  try {
    const content = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    if (content !== '') return content;
    problems.push({ variable: fileName, given: JSON.stringify(path), expected: 'a file that is not empty' });
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    problems.push({ variable: fileName, given: JSON.stringify(path), expected: `a readable file (${reason})` });
  }
  return undefined;
}

function expectation(variable: Variable<unknown>): string {
  const example = variable.example ? `, such as ${variable.example}` : '';
  return `a value${example} (${variable.meaning})`;
}
