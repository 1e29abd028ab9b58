/** Prints .env.example: `node src/config/env-example.ts > .env.example`. */
import { fileVariable, type Variable } from './variable.ts';
import { GROUPS } from './variables.ts';

const WIDTH = 116;

const HEAD = [
  'Every environment variable of siirays-sync, with its default and its meaning.',
  'Lines with a default show it; the others show an example and say whether they must be set. A variable set to ' +
    'nothing counts as not set. Each secret can also be given as a file: NAME_FILE=/path (its last newline is ignored).',
  'Durations: 500ms, 30s, 10m, 2h, 7d. Sizes: 64KiB, 8MiB, 1MB.',
  'Use: copy to .env, fill in, then `node --env-file=.env src/cli.ts producer`.',
];

/** The whole text of .env.example. */
export function renderEnvExample(): string {
  const groups = GROUPS.map(({ title, variables }) => {
    const entries = Object.entries(variables).map(([name, variable]) => renderVariable(name, variable));
    return [`# ---- ${title} ----`, ...entries].join('\n\n');
  });
  return `${[HEAD.flatMap(comment).join('\n'), ...groups].join('\n\n')}\n`;
}

function renderVariable(name: string, variable: Variable<unknown>): string {
  const lines = comment(variable.meaning);
  if (variable.default !== undefined)
    return [...lines, `# Default: ${variable.default}`, `${name}=${variable.default}`].join('\n');
  const duty = variable.required ? 'Must be set.' : 'Optional.';
  lines.push(`# ${duty}${variable.secret ? ' Secret.' : ''}`, `#${name}=${variable.example ?? ''}`);
  if (variable.secret) lines.push(`#${fileVariable(name)}=/run/secrets/${name.toLowerCase()}`);
  return lines.join('\n');
}

/** Breaks a text into comment lines. */
function comment(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line.length + word.length + 1 > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => `# ${line}`);
}

if (import.meta.main) process.stdout.write(renderEnvExample());
