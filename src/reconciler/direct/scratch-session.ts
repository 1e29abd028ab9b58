import type pg from 'pg';
import { connect, startupOptions, TEXT_VALUES } from '../../postgres/session.ts';

/** A session for temporary tables in the database `sync`; nothing else of it is used. */
export function scratchSession(syncUrl: string): Promise<pg.Client> {
  return connect({
    connectionString: syncUrl,
    application_name: 'siirays-sync reconciler',
    options: startupOptions({ jit: 'off' }),
    types: TEXT_VALUES,
  });
}
