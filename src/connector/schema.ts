import { z } from 'zod';
import { ONE_OR_TWO_PARTS, ONE_PART } from '../postgres/name-parts.ts';

/**
 * The keys of a connector's YAML file. The descriptions go into the JSON Schema that editors show, and into the
 * reference in docs/connectors.md; a key is explained here and nowhere else.
 */

/** An object without other keys; what an unknown key is answered with is the list of known ones, split by KEY_SEPARATOR. */
function closed<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(KEY_SEPARATOR) : undefined),
  });
}

export const KEY_SEPARATOR = ', ';

const documentName = z
  .string()
  .regex(/^[\p{L}_][\p{L}\p{N}_ -]*$/u, 'a name of letters, digits, _, - and blanks that begins with a letter or _');

const columnName = z.string().regex(ONE_PART, 'the name of a column');

const tableName = z
  .string()
  .regex(ONE_OR_TWO_PARTS, 'the name of a table, or schema.table')
  .describe(
    'Table of SIIRAyS: its name, or schema.table where it is in another schema than source.schema. A name that holds a dot stands in quotation marks: \'"a.b"\'.',
  );

const columnRef = z
  .string()
  .regex(ONE_OR_TWO_PARTS, 'the name of a column, or lookup.column')
  .describe('A column of the rows table, or lookup.column for a column of a look-up.');

const columnNames = z.union([columnName, z.array(columnName).min(1)]);

const joinColumns = z.union([columnName, z.array(columnName).min(1), z.record(columnName, columnName)]);

export const FIELD_TYPES = ['text', 'integer', 'number', 'boolean', 'date', 'timestamp', 'json'] as const;

const field = closed({
  column: columnRef.optional().describe('Column, or lookup.column. Default: the column named like the field.'),
  type: z
    .enum(FIELD_TYPES)
    .default('text')
    .describe(
      'What the document holds: text; integer; number (NaN and infinity as text); boolean; date and timestamp (ISO 8601 text); json (as it is).',
    ),
  required: z
    .boolean()
    .default(false)
    .describe('A document that lacks this field is not sent: it becomes a dead letter.'),
  description: z.string().optional().describe('For readers, and for the document schema.'),
});

const fieldOrColumn = z.union([z.null(), columnRef, field]);

const fields = z
  .record(documentName, fieldOrColumn)
  .describe(
    'One line per field of the document. Empty: the text column of the same name; text: that column, or lookup.column; a map: see below.',
  );

const lookup = closed({
  table: tableName,
  as: z
    .string()
    .regex(/^[^.]+$/, 'a name without dots')
    .optional()
    .describe(
      'Name of the look-up in this section. Default: the name of the table. Needed where one table is looked up twice.',
    ),
  by: joinColumns
    .optional()
    .describe(
      'Columns that join it: a name or a list of names that both tables have, or a map {column of the row: column of the look-up}. Default: id_<table>.',
    ),
  from: z
    .string()
    .optional()
    .describe('Name of another look-up of this section whose row leads here. Default: the row itself.'),
});

const lookups = z
  .array(z.union([tableName, lookup]))
  .describe(
    'Tables joined to each row, which stays where there is no partner (LEFT JOIN). A name alone joins by id_<table>; a map: see below.',
  );

const sectionKeys = {
  rows: tableName.describe('Table whose rows the section is made of.'),
  by: joinColumns
    .optional()
    .describe(
      'Which of its rows belong to the outer row: columns of the same name in both, or a map {column of the outer row: column of rows}. Default: the document id (root.id), in a nested section the key of the outer section.',
    ),
  key: columnNames
    .optional()
    .describe(
      'Primary key of rows: orders a list; of several rows of an object or text the highest counts. Default: id_<table>.',
    ),
  lookups: lookups.optional(),
  required: z.boolean().default(false).describe('A document without this section is not sent.'),
  description: z.string().optional().describe('For readers, and for the document schema.'),
};

const rowsSectionKeys = {
  shape: z.enum(['object', 'list']).describe('object: one row as an object; list: every row as an object.'),
  ...sectionKeys,
  fields: fields.optional(),
};

const textSection = closed({
  shape: z
    .enum(['text', 'list of text'])
    .describe('text: one column of one row; list of text: one column of every row, without those that are NULL.'),
  ...sectionKeys,
  column: columnRef,
});

type OwnRowsSectionKeys = z.output<z.ZodObject<typeof rowsSectionKeys>>;
export interface RowsSectionKeys extends OwnRowsSectionKeys {
  sections?: Record<string, SectionKeys>;
}
export type SectionKeys = RowsSectionKeys | z.output<typeof textSection>;

const rowsSection = closed({
  ...rowsSectionKeys,
  get sections(): z.ZodOptional<z.ZodType<Record<string, SectionKeys>>> {
    return z.record(documentName, section).optional().describe('Sections inside each row, after its fields.');
  },
});

const section = z.discriminatedUnion('shape', [rowsSection, textSection]).meta({ id: 'section' });

const root = closed({
  table: tableName.describe('Table with one row per document.'),
  id: columnName.describe("Column that identifies the row, unique: the document's id."),
  id_type: z
    .enum(['integer', 'text'])
    .default('integer')
    .describe('Whether FASTAAPS writes the id as a number or as text.'),
  lookups: lookups.optional(),
  fields: fields.optional().describe('Fields at the top of the document, before its sections.'),
});

/** One connector file. */
export const connectorSchema = closed({
  description: z.string().optional().describe('What the documents are, for readers.'),
  source: closed({
    kind: z.literal('postgres').describe('Where the rows come from.'),
    schema: columnName.default('public').describe('Schema of tables that are named without one.'),
  }),
  target: closed({
    path: z
      .string()
      .regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'a path such as /registro')
      .describe('Collection of FASTAAPS.'),
    tag: z
      .string()
      .regex(/^[A-Za-z0-9._~-]+$/, 'a name of letters, digits and . _ ~ -')
      .default('sync')
      .describe('Set of documents (db_tag) in the collection.'),
    adapter: z
      .enum(['changes', 'restore'])
      .default('changes')
      .describe(
        'changes: atomic changesets; restore: the service that only knows POST restore (the whole set each time, not atomic).',
      ),
  }),
  root,
  sections: z.record(documentName, section).describe('Parts of the document, in the order in which they are written.'),
}).meta({ title: 'siirays-sync connector' });

export type ConnectorFile = z.output<typeof connectorSchema>;
export type FieldKeys = z.output<typeof fieldOrColumn>;
export type LookupKeys = z.output<typeof lookups>[number];
export type JoinKeys = z.output<typeof joinColumns>;

/** The JSON Schema (draft 2020-12) of a connector file, for editors; from the same zod schema that validates. */
export function connectorJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(connectorSchema, { io: 'input', target: 'draft-2020-12' }) as Record<string, unknown>;
}

/** The text of connectors/connector.schema.json. */
export function connectorJsonSchemaText(): string {
  return `${JSON.stringify(connectorJsonSchema(), null, 2)}\n`;
}
