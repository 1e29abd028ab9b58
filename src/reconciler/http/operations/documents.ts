import { once } from 'node:events';
import type { Request, Response } from 'express';
import { withConnection } from '../../../postgres/borrowed-connection.ts';
import { chosenConnector, ofPresent } from '../chosen-connector.ts';
import { readDocument, versionTexts } from '../document-store.ts';
import { drainSignal, goneSignal } from '../gone.ts';
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
        // Few documents, one id's: held here, so that a slow reader holds no connection.
        const versions: string[][] = [];
        await withConnection(services.pool, async (client) => {
          for await (const pieces of versionTexts(client, connector.name, id)) versions.push(pieces);
        });
        await sendVersions(request, response, JSON.stringify({ connector: connector.name, id }), versions);
      },
    }),
  ];
}

/** Splices texts into one JSON object, as fast as the reader takes them. */
async function sendVersions(
  request: Request,
  response: Response,
  head: string,
  versions: readonly string[][],
): Promise<void> {
  response.status(200).type('application/json');
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const gone = goneSignal(response);
  let before = `${head.slice(0, -1)},"versions":[`;
  for (const pieces of versions) {
    for (const piece of [before, ...pieces]) {
      gone.throwIfAborted();
      if (!response.write(piece)) await once(response, 'drain', { signal: drainSignal(gone) });
    }
    before = ',';
  }
  response.end(before === ',' ? ']}' : `${before}]}`);
}
