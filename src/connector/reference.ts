import { connectorJsonSchema } from './schema.ts';

interface Node {
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  properties?: Record<string, Node>;
  required?: string[];
  additionalProperties?: Node;
  items?: Node;
  anyOf?: Node[];
  oneOf?: Node[];
  $defs?: Record<string, Node>;
}

/** Every key of a connector file in Markdown tables, from the schema that validates it: a part of docs/connectors.md. */
export function connectorReference(): string {
  const schema = connectorJsonSchema() as Node;
  const shapes = schema.$defs!.section!.oneOf!;
  const [rows, text] = shapes as [Node, Node];
  const common = Object.keys(rows.properties!).filter((key) => text.properties![key] && key !== 'shape');
  const part = (node: Node, keys: string[]): Node => ({
    required: node.required,
    properties: Object.fromEntries(keys.map((key) => [key, node.properties![key]!])),
  });
  const rest = (node: Node) => Object.keys(node.properties!).filter((key) => !common.includes(key));
  const field = mapOf(rows.properties!.fields!.additionalProperties!);
  const lookup = mapOf(rows.properties!.lookups!.items!);
  return [
    '### The file',
    table(flat(schema)),
    '### A section of any shape',
    table(flat(part(rows, common))),
    '### A section of shape object or list',
    table(flat(part(rows, rest(rows)))),
    '### A section of shape text or list of text',
    table(flat(part(text, rest(text)))),
    '### A field, where it is a map',
    table(flat(field)),
    '### A look-up, where it is a map',
    table(flat(lookup)),
  ].join('\n\n');
}

function mapOf({ anyOf }: Node): Node {
  return anyOf!.find((one) => one.properties)!;
}

interface Line {
  key: string;
  node: Node;
  required: boolean;
}

/** Keys of a map; those of plain maps inside it are written outer.inner. */
function flat(node: Node, prefix = ''): Line[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, inner]) =>
    inner.properties
      ? flat(inner, `${prefix}${name}.`)
      : [{ key: `${prefix}${name}`, node: inner, required: node.required?.includes(name) === true }],
  );
}

function table(lines: readonly Line[]): string {
  const rows = lines.map(({ key, node, required }) => {
    const values = node.enum ?? (node.const === undefined ? [] : [node.const]);
    const told = [
      ...(values.length > 0 ? [`One of: ${values.map((value) => `\`${value}\``).join(', ')}.`] : []),
      node.description ?? '',
      ...(node.default === undefined ? [] : [`Default: \`${node.default}\`.`]),
    ];
    return `| \`${key}\` | ${required ? 'yes' : ''} | ${told.join(' ').replaceAll(/[|<]/g, '\\$&').trim()} |`;
  });
  return ['| key | needed | meaning |', '|---|---|---|', ...rows].join('\n');
}
