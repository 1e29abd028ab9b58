import { OPENAPI_SCHEMAS } from './openapi-schemas.ts';

type Json = Record<string, unknown>;

const COLLECTION = parameter('collection', 'path', 'Path of the collection, e.g. registro', { type: 'string' });
const ID = parameter('id', 'path', 'Id of the document', { type: 'string' });
const TAG = parameter('db_tag', 'query', 'Names the set of documents: sync, backup or user', {
  type: 'string',
  pattern: '^[A-Za-z0-9_-]{1,63}$',
});
const SET = [COLLECTION, TAG];

/** The service's description of itself (OpenAPI 3.1). Tests hold every real answer against it. */
export function openapi(): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'FASTAAPS access service',
      version: '1.0.0',
      description: 'Documents by collection, db_tag and id. Ids that are whole numbers are JSON numbers.',
    },
    security: [{ basic: [] }, { bearer: [] }],
    paths: {
      '/{collection}/restore': { post: restore() },
      '/{collection}/changes': { post: changes() },
      '/{collection}/': { get: getSet() },
      '/{collection}/position': { get: getPosition() },
      '/{collection}/versions': { get: getVersions() },
      '/{collection}/{id}': { get: getOne() },
      '/healthz': { get: getHealth() },
    },
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' }, bearer: { type: 'http', scheme: 'bearer' } },
      schemas: OPENAPI_SCHEMAS,
    },
  };
}

function restore(): Json {
  return {
    summary: 'Replaces the whole set, in one transaction',
    parameters: SET,
    requestBody: { required: true, content: content('application/json', 'Set') },
    responses: {
      201: answer('The set as it was taken', 'Set'),
      400: answer('The body is no JSON array', 'Error'),
      413: answer('A document or the request is over the limit', 'Error'),
      415: answer('The body is no application/json', 'Error'),
      422: answer('Documents break the schema, named by place: nothing was replaced', 'Reasons'),
      ...common(),
    },
  };
}

function changes(): Json {
  return {
    summary: 'Applies a changeset, all or nothing',
    description:
      'The first line is a ChangesetHeader, every other one a Change. A change whose (epoch, version) is not greater ' +
      'than what is stored for its id is ignored. A delete leaves a tombstone.',
    parameters: SET,
    requestBody: { required: true, content: content('application/x-ndjson', 'ChangesetLine') },
    responses: {
      200: answer('Applied', 'ChangesetResult'),
      400: answer('A line is not of the agreed form', 'Error'),
      413: answer('A line or the request is over the limit', 'Error'),
      415: answer('The body is no application/x-ndjson', 'Error'),
      422: answer('Documents break the schema, named by id: nothing was applied', 'Reasons'),
      ...common(),
    },
  };
}

function getSet(): Json {
  return {
    summary: 'All documents of the set, ordered by id, with the position of the same snapshot',
    parameters: SET,
    responses: {
      200: {
        ...answer('The documents', 'Set'),
        headers: {
          'FASTAAPS-Position': {
            description: 'The newest changeset that the documents hold; missing where there was none',
            content: content('application/json', 'Position'),
          },
        },
      },
      422: answer('db_tag is missing or wrong', 'Reasons'),
      ...common(),
    },
  };
}

function getPosition(): Json {
  return {
    summary: 'The newest changeset that the set holds',
    parameters: SET,
    responses: {
      200: answer('The position', 'Position'),
      404: answer('The set holds no changeset', 'Error'),
      422: answer('db_tag is missing or wrong', 'Reasons'),
      ...common(),
    },
  };
}

function getVersions(): Json {
  return {
    summary: 'Version and etag of every document, ordered by id: whole numbers first, other ids by their bytes',
    parameters: SET,
    responses: {
      200: { description: 'One line per document or tombstone', content: content('application/x-ndjson', 'Version') },
      422: answer('db_tag is missing or wrong', 'Reasons'),
      ...common(),
    },
  };
}

function getOne(): Json {
  return {
    summary: 'One document',
    parameters: [COLLECTION, ID, TAG],
    responses: {
      200: answer('The document', 'Document'),
      404: answer('There is no such document', 'Error'),
      422: answer('db_tag is missing or wrong', 'Reasons'),
      ...common(),
    },
  };
}

function getHealth(): Json {
  return {
    summary: 'Whether the service and its database answer',
    security: [],
    responses: { 200: answer('They do', 'Health'), 503: answer('The database does not', 'Error') },
  };
}

function common(): Json {
  return {
    401: {
      ...answer('Credentials are missing or wrong', 'Error'),
      headers: { 'WWW-Authenticate': { schema: { type: 'string' } } },
    },
    503: {
      ...answer('Busy or without its database: ask again', 'Error'),
      headers: { 'Retry-After': { schema: { type: 'string' } } },
    },
  };
}

function answer(description: string, schema: string): Json {
  return { description, content: content('application/json', schema) };
}

function content(type: string, schema: string): Json {
  return { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } };
}

function parameter(name: string, place: 'path' | 'query', description: string, schema: Json): Json {
  return { name, in: place, required: true, description, schema };
}
