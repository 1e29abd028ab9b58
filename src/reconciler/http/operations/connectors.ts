import { collectionName } from '../../../postgres/name-parts.ts';
import { audited } from '../audited.ts';
import { neverRan } from '../chosen-connector.ts';
import { readConnectorState, setPaused } from '../connector-status.ts';
import { type ApiContext, json, type Operation, operation, problemOf } from '../operation.ts';
import { notFound } from '../problem.ts';
import { unknownConnector } from '../run-request.ts';
import * as schemas from '../schemas.ts';
import type { ApiConnector } from '../services.ts';

/** What is kept equal, and pausing it. */
export function connectors({ services }: ApiContext): Operation[] {
  const { pool } = services;

  const answerOf = async (connector: ApiConnector) => {
    const { name, target, root, tables } = connector;
    return {
      name,
      ...(await readConnectorState(pool, name)),
      target: { path: target.path, tag: target.tag, adapter: target.adapter },
      root: collectionName(root),
      tables: tables.map(collectionName),
    };
  };

  const switching = (verb: 'pause' | 'resume', summary: string): Operation =>
    operation({
      method: 'post',
      path: `/connectors/{name}/${verb}`,
      name: `${verb}Connector`,
      summary,
      query: schemas.noQuery,
      answers: {
        200: json('How it stands', schemas.connector),
        404: problemOf('There is no such connector, or its consumer never ran', schemas.problem),
      },
      async handle({ response, params, caller }) {
        const connector = services.connectors.find(({ name }) => name === params.name);
        if (connector === undefined) throw notFound(unknownConnector(params.name!, services.connectors));
        const changed = await audited(
          services,
          { caller, action: `connector.${verb}`, object: connector.name },
          (client) => setPaused(client, connector.name, verb === 'pause'),
          (set) => set === true,
        );
        if (changed === null) throw neverRan(connector.name);
        response.json(await answerOf(connector));
      },
    });

  return [
    operation({
      method: 'get',
      path: '/connectors',
      name: 'listConnectors',
      summary: 'Every connector, and how it stands',
      query: schemas.noQuery,
      answers: { 200: json('The connectors', schemas.connectorList) },
      async handle({ response }) {
        response.json({ connectors: await Promise.all(services.connectors.map(answerOf)) });
      },
    }),
    switching('pause', 'Stops a connector: nothing is read from the topics and nothing delivered'),
    switching('resume', 'Lets a paused connector go on'),
  ];
}
