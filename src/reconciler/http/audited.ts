import type pg from 'pg';
import { inTransaction } from '../runs/transaction.ts';
import type { Caller } from './authentication.ts';
import type { ApiContext } from './operation.ts';
import type { ApiServices } from './services.ts';

/** What somebody does: the action's name, and what it is done to. */
export interface Act {
  readonly caller: Caller;
  readonly action: string;
  readonly object: string;
}

/**
 * Does what leaves no other record of who did it, in one transaction with its entry in the audit: neither is without the
 * other.
 * @param work done on the transaction's connection
 * @param happened whether it changed anything: else there is nothing to enter
 * @throws the errors of `work`, and of the entry: then nothing was done
 */
export function audited<T>(
  { pool, runs }: Pick<ApiServices, 'pool' | 'runs'>,
  { caller, action, object }: Act,
  work: (client: pg.ClientBase) => Promise<T>,
  happened: (result: T) => boolean,
): Promise<T> {
  return inTransaction(pool, async (client) => {
    const result = await work(client);
    if (happened(result)) await runs.audit(caller.name, caller.role, action, object, {}, client);
    return result;
  });
}

/** Enters what has been done and stands in the history of runs too, with who did it: it is not undone where this fails. */
export async function note(
  { services, log }: Pick<ApiContext, 'services' | 'log'>,
  { caller, action, object }: Act,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  try {
    await services.runs.audit(caller.name, caller.role, action, object, detail);
  } catch (err) {
    log.error(
      { event: 'audit_failed', err, action, object, actor: caller.name },
      'what was done could not be entered in the audit: the history of runs has it',
    );
  }
}
