import { once } from 'node:events';
import type { Request, Response } from 'express';
import { withConnection } from '../../../postgres/borrowed-connection.ts';
import { chosenConnector, ofPresent } from '../chosen-connector.ts';
import { readDocument, versionTexts } from '../document-store.ts';
import { type ApiContext, json, type Operation, operation, problemOf } from '../operation.ts';
import { notFound } from '../problem.ts';
import * as schemas from '../schemas.ts';
import type { ApiConnector } from '../services.ts';

const NO_DOCUMENT = problemOf('There is no such document', schemas.problem);

/** What is known of single documents. */
export function documents({ services }: ApiContext): Operation[] {
  const stateOf = async (connector: ApiConnector, id: string) => {
    // PostgreSQL has no text with NUL, and so no such id.
    const read = () => readDocument(services.pool, services.schema, connector.name, id);
    const state = id.includes('\0') ? null : await ofPresent(connector, read);
    if (state === null) throw notFound(`${connector.name} has no document of this id`);
    return state;
  };
  return [
    operation({
      method: 'get',
      path: '/documents/{id}',
      name: 'getDocument',
      summary: 'How a document stands: its newest version, what FASTAAPS accepted, its dead letter, its last proof',
      query: schemas.connectorQuery,
      answers: { 200: json('The state', schemas.documentState), 404: NO_DOCUMENT },
      async handle({ response, params, query }) {
        response.json(await stateOf(chosenConnector(services.connectors, query.connector), params.id!));
      },
    }),
    operation({
      method: 'get',
      path: '/documents/{id}/versions',
      name: 'listDocumentVersions',
      summary: 'The kept versions of a document, newest first: the last ten, and the accepted one',
      query: schemas.connectorQuery,
      answers: { 200: json('The versions', schemas.documentVersions), 404: NO_DOCUMENT },
      async handle({ request, response, params, query }) {
        const connector = chosenConnector(services.connectors, query.connector);
        const { id } = await stateOf(connector, params.id!);
        await withConnection(services.pool, async (client) => {
          const head = JSON.stringify({ connector: connector.name, id });
          await sendVersions(request, response, head, versionTexts(client, connector.name, id));
        });
      },
    }),
  ];
}

/** Splices texts into one JSON object, as fast as the reader takes them. */
async function sendVersions(
  request: Request,
  response: Response,
  head: string,
  versions: AsyncIterable<string[]>,
): Promise<void> {
  response.status(200).type('application/json');
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  let before = `${head.slice(0, -1)},"versions":[`;
  for await (const pieces of versions) {
    for (const piece of [before, ...pieces]) {
      if (!response.write(piece)) await once(response, 'drain', { signal: gone.signal });
    }
    before = ',';
  }
  response.end(before === ',' ? ']}' : `${before}]}`);
}
