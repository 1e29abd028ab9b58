import { z } from 'zod';
import type { AnswerSpec, Operation } from './operation.ts';
import { BASE } from './run-answer.ts';
import { NAMED, problem } from './schemas.ts';

type Json = Record<string, unknown>;

const REFERENCE = '#/components/schemas/';

/** The description of the API (OpenAPI 3.1), made of the operations and their schemas. */
export function openapi(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {};
  for (const one of operations) {
    paths[one.path] = { ...paths[one.path], [one.method]: describe(one) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'siirays-sync reconciler',
      version: '1.0.0',
      description:
        'HTTP Basic. A viewer may read (GET), an operator everything. Errors are problem details (RFC 9457). Every change is audited.',
    },
    servers: [{ url: BASE }],
    security: [{ basic: [] }],
    paths,
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' } },
      schemas: componentSchemas(),
    },
  };
}

function describe({ method, path, name, summary, description, query, body, headers, answers }: Operation): Json {
  const all: Record<string, AnswerSpec> = { ...answers, ...common(method, body !== undefined) };
  return {
    operationId: name,
    summary,
    description,
    parameters: [...pathParameters(path), ...queryParameters(query), ...headerParameters(headers ?? {})],
    requestBody: body && { required: false, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
    responses: Object.fromEntries(Object.entries(all).map(([status, spec]) => [status, response(spec)])),
  };
}

/** What every operation may answer besides its own. */
function common(method: Operation['method'], takesBody: boolean): Record<string, AnswerSpec> {
  const told = (description: string, headers?: Readonly<Record<string, string>>): AnswerSpec => ({
    description,
    content: { 'application/problem+json': problem },
    headers,
  });
  return {
    400: told('The request is not valid: `errors` names every mistake'),
    401: told('User name and password are missing or wrong', { 'WWW-Authenticate': 'Basic' }),
    ...(method === 'get' ? {} : { 403: told("A viewer, or another site's page, may not change anything") }),
    ...(takesBody ? { 413: told('The body has over 1 MB'), 415: told('The body is not application/json') } : {}),
    429: told('Too many wrong passwords', { 'Retry-After': 'Seconds' }),
    500: told('The service failed'),
    503: told('Something is busy or away', { 'Retry-After': 'Seconds' }),
  };
}

function response({ description, content, headers }: AnswerSpec): Json {
  const forms = Object.entries(content ?? {}).map(([type, schema]) => [type, { schema: schemaOf(schema, 'output') }]);
  return {
    description,
    content: content && Object.fromEntries(forms),
    headers:
      headers &&
      Object.fromEntries(
        Object.entries(headers).map(([name, meaning]) => [name, { description: meaning, schema: { type: 'string' } }]),
      ),
  };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodType): Json[] {
  const shape = 'shape' in query ? (query.shape as Record<string, z.ZodType>) : {};
  return Object.entries(shape).map(([name, schema]) => {
    const { description, ...rest } = schemaOf(schema, 'output');
    return { name, in: 'query', required: !schema.safeParse(undefined).success, description, schema: rest };
  });
}

function headerParameters(headers: Readonly<Record<string, string>>): Json[] {
  return Object.entries(headers).map(([name, description]) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  }));
}

/** A named schema by reference, any other in place. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const known = NAMED.get(schema);
  if (known) return { $ref: REFERENCE + known.id };
  const options = schema instanceof z.ZodUnion ? (schema.options as z.ZodType[]) : [];
  if (options.some((option) => NAMED.get(option))) return { anyOf: options.map((option) => schemaOf(option, io)) };
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io }) as Json;
  return rest;
}

function componentSchemas(): Json {
  // None of the named schemas changes what it reads, so that taken and given form are one.
  const { schemas } = z.toJSONSchema(NAMED, { uri: (id) => REFERENCE + id, io: 'output' });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _, $id: __, ...schema }]) => [name, schema]),
  );
}
