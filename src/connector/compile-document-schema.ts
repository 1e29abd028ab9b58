import type { Definition, FieldType, RowContent, Section } from './definition.ts';

type JsonSchema = Record<string, unknown>;

/**
 * JSON Schema (draft 2020-12) of one document: nothing but the connector's fields, the required ones present.
 * Numbers may be text where PostgreSQL's NaN and infinities are, dates where its infinities and years BC are.
 */
export function compileDocumentSchema({ name, description, root }: Definition): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: name,
    ...(description !== null && { description }),
    ...contentSchema(root),
  };
}

function contentSchema({ fields, sections }: RowContent): JsonSchema {
  const members = [
    ...fields.map((field) => ({ ...field, schema: FIELD_SCHEMAS[field.type] })),
    ...sections.map((section) => ({ ...section, schema: sectionSchema(section) })),
  ];
  return {
    type: 'object',
    properties: Object.fromEntries(
      members.map(({ name, schema, description }) => [
        name,
        description === null ? schema : { ...schema, description },
      ]),
    ),
    required: members.filter(({ required }) => required).map(({ name }) => name),
    additionalProperties: false,
  };
}

function sectionSchema(section: Section): JsonSchema {
  switch (section.shape) {
    case 'object':
      return contentSchema(section);
    case 'list':
      return { type: 'array', minItems: 1, items: contentSchema(section) };
    case 'text':
      return { type: 'string' };
    case 'list of text':
      return { type: 'array', minItems: 1, items: { type: 'string' } };
  }
}

const DATE = '[0-9]{4,}-[0-9]{2}-[0-9]{2}';
const TIME = '[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([+-][0-9]{2}(:[0-9]{2}){0,2})?';

const FIELD_SCHEMAS: Record<FieldType, JsonSchema> = {
  text: { type: 'string' },
  integer: { type: 'integer' },
  number: { anyOf: [{ type: 'number' }, { enum: ['NaN', 'Infinity', '-Infinity'] }] },
  boolean: { type: 'boolean' },
  date: { type: 'string', pattern: `^(${DATE}( BC)?|-?infinity)$` },
  timestamp: { type: 'string', pattern: `^(${DATE}T${TIME}( BC)?|-?infinity)$` },
  json: {},
};
