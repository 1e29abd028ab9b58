import type pg from 'pg';
import { audited } from '../audited.ts';
import { chosenConnector, ofPresent } from '../chosen-connector.ts';
import {
  countOpen,
  discardDeadLetter,
  listDeadLetters,
  readDeadLetter,
  replayAll,
  replayOne,
} from '../dead-letter-store.ts';
import { type ApiContext, json, type Operation, operation, problemOf } from '../operation.ts';
import { notFound } from '../problem.ts';
import * as schemas from '../schemas.ts';
import { readSourceRows } from '../source-rows.ts';

const PAGE = 100;
const NO_LETTER = problemOf('There is no such dead letter', schemas.problem);
const NEVER_RAN = problemOf("The connector's consumer never ran", schemas.problem);

/** Documents that were refused: to be looked at, replayed, or set aside. */
export function deadLetters({ services }: ApiContext): Operation[] {
  const { pool, runs, connectors } = services;
  return [
    operation({
      method: 'get',
      path: '/dead-letters',
      name: 'listDeadLetters',
      summary: 'The dead letters of a connector, by id',
      query: schemas.deadLettersQuery,
      answers: { 200: json('A page of dead letters', schemas.deadLetterPage), 404: NEVER_RAN },
      async handle({ response, query: { connector: name, limit = PAGE, ...filter } }) {
        const connector = chosenConnector(connectors, name);
        const page = await ofPresent(connector, () => listDeadLetters(pool, connector.name, { ...filter, limit }));
        response.json({ connector: connector.name, ...page });
      },
    }),
    operation({
      method: 'get',
      path: '/dead-letters/{id}',
      name: 'getDeadLetter',
      summary: 'A dead letter, with the rows of SIIRAyS that the refused part of the document is made of',
      query: schemas.connectorQuery,
      answers: { 200: json('The dead letter', schemas.deadLetterWithRows), 404: NO_LETTER },
      async handle({ response, params, query }) {
        const connector = chosenConnector(connectors, query.connector);
        const id = idOf(params);
        const deadLetter = await ofPresent(connector, () => readDeadLetter(pool, connector.name, id));
        if (deadLetter === null) throw noLetter();
        response.json({ ...deadLetter, rows: await readSourceRows(pool, connector, id, deadLetter.path) });
      },
    }),
    operation({
      method: 'post',
      path: '/dead-letters/replay',
      name: 'replayDeadLetters',
      summary: 'Has new versions made of all refused documents that are not set aside',
      query: schemas.connectorQuery,
      answers: { 202: json('They are made with the next projection', schemas.replayed), 404: NEVER_RAN },
      async handle({ response, query, caller }) {
        const connector = chosenConnector(connectors, query.connector);
        const letters = await ofPresent(connector, () => countOpen(pool, connector.name));
        // Before it is done, which takes several transactions: nothing is replayed without an entry.
        await runs.audit(caller.name, caller.role, 'dead-letter.replay-all', connector.name, { letters });
        const replayed = await ofPresent(connector, () => replayAll(pool, connector.name));
        response.status(202).json({ connector: connector.name, replayed });
      },
    }),
    operation({
      method: 'post',
      path: '/dead-letters/{id}/replay',
      name: 'replayDeadLetter',
      summary: 'Has a new version made of a refused document',
      query: schemas.connectorQuery,
      answers: { 202: json('It is made with the next projection', schemas.replayed), 404: NO_LETTER },
      async handle({ response, params, query, caller }) {
        const connector = chosenConnector(connectors, query.connector);
        const id = idOf(params);
        const act = { caller, action: 'dead-letter.replay', object: `${connector.name}/${id}` };
        const replay = (client: pg.ClientBase) => replayOne(client, connector.name, id);
        if (!(await ofPresent(connector, () => audited(services, act, replay, Boolean)))) throw noLetter();
        response.status(202).json({ connector: connector.name, replayed: 1 });
      },
    }),
    operation({
      method: 'delete',
      path: '/dead-letters/{id}',
      name: 'discardDeadLetter',
      summary: 'Sets a dead letter aside: known, and accepted as it is',
      description: 'A newer version of the document supersedes that, too.',
      query: schemas.connectorQuery,
      answers: { 200: json('It is set aside', schemas.deadLetter), 404: NO_LETTER },
      async handle({ response, params, query, caller }) {
        const connector = chosenConnector(connectors, query.connector);
        const id = idOf(params);
        const act = { caller, action: 'dead-letter.discard', object: `${connector.name}/${id}` };
        const discard = (client: pg.ClientBase) => discardDeadLetter(client, connector.name, id, caller.name);
        const changed = (letter: Awaited<ReturnType<typeof discard>>) => letter?.changed === true;
        const found = await ofPresent(connector, () => audited(services, act, discard, changed));
        if (found === null) throw noLetter();
        response.json(found.deadLetter);
      },
    }),
  ];
}

function idOf(params: Readonly<Record<string, string>>): string {
  const id = params.id!;
  // PostgreSQL has no text with NUL, and so no such id.
  if (id.includes('\0')) throw noLetter();
  return id;
}

function noLetter(): Error {
  return notFound('there is no dead letter of this id');
}
