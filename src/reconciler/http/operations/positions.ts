import { chosenConnector, ofPresent } from '../chosen-connector.ts';
import { goneSignal } from '../gone.ts';
import { type ApiContext, json, type Operation, operation, problemOf } from '../operation.ts';
import { invalid, Problem } from '../problem.ts';
import * as schemas from '../schemas.ts';

const DEFAULT_SECONDS = 10;
const LSN = /^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/;
const MOST_HISTORY = 2_147_483_647;

/** Waiting until FASTAAPS shows a commit of SIIRAyS. */
export function positions({ services, signal }: ApiContext): Operation[] {
  return [
    operation({
      method: 'get',
      path: '/positions/{history}/{lsn}',
      name: 'waitForPosition',
      summary: 'Waits until FASTAAPS shows a commit of SIIRAyS',
      description:
        'For whoever has written to SIIRAyS and wants to read it from FASTAAPS. `history` is a number or `current`; `lsn` is ' +
        'what pg_current_wal_insert_lsn() says after the commit, its slash as it is or as %2F. Only 200 means that the commit is shown: ' +
        'a wait that ends before is an error (504: the service behind did not get there in time; ask again), so that a client that looks ' +
        'at nothing but success cannot take one for the other.',
      query: schemas.positionQuery,
      answers: {
        200: json('FASTAAPS shows the commit', schemas.shown),
        404: problemOf("The connector's consumer never ran", schemas.problem),
        410: problemOf('The history is over: FASTAAPS shows a later one', schemas.notShown),
        504: problemOf('FASTAAPS does not show it yet', schemas.notShown, { 'Retry-After': 'Seconds' }),
      },
      async handle({ request, response, params, query }) {
        const connector = chosenConnector(services.connectors, query.connector);
        const history = readHistory(params.history!);
        const lsn = readLsn(params.lsn!);
        const timeoutMs = (query.timeout ?? DEFAULT_SECONDS) * 1000;
        const gone = goneSignal(response);
        const ending = AbortSignal.any([signal, gone]);
        const outcome = await ofPresent(connector, () =>
          services.waitForPosition(connector.name, history, lsn, timeoutMs, ending),
        ).catch((error) => {
          if (gone.aborted || request.socket.destroyed) return null;
          if (signal.aborted) throw new Problem(503, 'the server is ending', { headers: { 'Retry-After': '5' } });
          throw error;
        });
        if (outcome === null) return;
        const { state, shows } = outcome;
        const members = { history: outcome.history, lsn, shows };
        if (state === 'gone') {
          throw new Problem(410, `history ${outcome.history} is over`, { kind: 'history-over', members });
        }
        if (state === 'timeout') {
          const headers = { 'Retry-After': '1' };
          throw new Problem(504, 'FASTAAPS does not show it yet', { kind: 'not-shown-yet', members, headers });
        }
        response.json({ connector: connector.name, shown: true, ...members });
      },
    }),
  ];
}

function readHistory(text: string): number | 'current' {
  if (text === 'current') return text;
  const history = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (history <= MOST_HISTORY) return history;
  throw invalid([{ parameter: 'history', detail: 'expected the number of a history, or current' }]);
}

function readLsn(text: string): string {
  if (LSN.test(text)) return text.toUpperCase();
  throw invalid([{ parameter: 'lsn', detail: 'expected an LSN such as 0/16B3748' }]);
}
