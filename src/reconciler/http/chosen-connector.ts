import { invalid, Problem } from './problem.ts';
import { unknownConnector } from './run-request.ts';
import type { ApiConnector } from './services.ts';

/** undefined_table, invalid_schema_name: the consumer of the connector has never been started. */
const ABSENT = new Set(['42P01', '3F000']);

/** The connector of a name; without one the first. @throws Problem 400 that names the nearest */
export function chosenConnector(connectors: readonly ApiConnector[], name: string | undefined): ApiConnector {
  const found = name === undefined ? connectors[0] : connectors.find((connector) => connector.name === name);
  if (found) return found;
  throw invalid([{ parameter: 'connector', detail: unknownConnector(name ?? '', connectors) }]);
}

/** Reads something of a connector's bookkeeping. @throws Problem 404 while there is none */
export async function ofPresent<T>(connector: ApiConnector, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!ABSENT.has(String((error as { code?: unknown }).code))) throw error;
    throw neverRan(connector.name);
  }
}

export function neverRan(name: string): Problem {
  return new Problem(404, `nothing is known of ${name} yet: its consumer never ran`);
}
