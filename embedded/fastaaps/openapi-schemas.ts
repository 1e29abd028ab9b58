const ID = { type: ['integer', 'string'] };
const DECIMAL = { type: 'string', pattern: '^(0|[1-9][0-9]*)$' };
const LSN = { type: 'string', pattern: '^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$' };
const EPOCH = { type: 'integer', minimum: 0 };
const ETAG = { type: ['string', 'null'], description: 'Made from the stored document; null for a tombstone' };

/** The schemas of bodies (JSON Schema, draft 2020-12, as OpenAPI 3.1 takes them). */
export const OPENAPI_SCHEMAS = {
  Document: { type: 'object' },
  Set: { type: 'array', items: { $ref: '#/components/schemas/Document' } },
  Health: object({ status: { const: 'ok' } }),
  Position: object({
    source: { type: 'string' },
    epoch: EPOCH,
    version: DECIMAL,
    history: { type: 'integer', minimum: 0 },
    seq: DECIMAL,
    lsn: LSN,
  }),
  ChangesetHeader: { $ref: '#/components/schemas/Position' },
  Change: {
    oneOf: [
      object({ op: { const: 'upsert' }, id: ID, version: DECIMAL, document: { type: 'object' } }),
      object({ op: { const: 'delete' }, id: ID, version: DECIMAL }),
    ],
  },
  ChangesetLine: {
    anyOf: [{ $ref: '#/components/schemas/ChangesetHeader' }, { $ref: '#/components/schemas/Change' }],
  },
  ChangesetResult: object({
    applied: { type: 'integer', minimum: 0 },
    ignored: { type: 'integer', minimum: 0 },
    etags: { type: 'object', additionalProperties: ETAG },
  }),
  Version: object({ id: ID, epoch: EPOCH, version: DECIMAL, etag: ETAG }),
  Error: object({ detail: object({ error: { type: 'string' } }) }),
  Reasons: object({
    detail: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        properties: {
          id: { type: ['integer', 'string', 'null'] },
          loc: { type: 'array', items: { type: ['string', 'integer'] } },
          msg: { type: 'string' },
          type: { type: 'string' },
        },
        required: ['loc', 'msg', 'type'],
        additionalProperties: false,
      },
    },
  }),
} satisfies Record<string, unknown>;

/** An object with exactly these members. */
function object(properties: Record<string, unknown>): Record<string, unknown> {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}
