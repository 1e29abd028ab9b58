/** What the HTTP API asks of the rest of the process. */
import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import type { RunStore } from '../runs/run-store.ts';
import type { PlannedRun } from '../schedule/scheduler.ts';
import type { Asker, Run, RunOptions } from '../types.ts';

/** What the API knows of a connector. */
export type ApiConnector = Pick<CompiledConnector, 'name' | 'target' | 'tables' | 'root' | 'sourceRows'>;

export interface StartExtra {
  idempotencyKey?: string;
}

export interface Started {
  run: Run;
  /** The idempotency key had been used: this is the run of then. */
  existing: boolean;
}

/** The history of runs, of proofs and of what people did. */
export type RunHistory = Pick<
  RunStore,
  | 'get'
  | 'list'
  | 'running'
  | 'differences'
  | 'cancel'
  | 'lastSuccess'
  | 'lastVerdict'
  | 'ageOfProof'
  | 'audit'
  | 'listAudit'
>;

/** How a wait for a commit ended. */
export interface Shown {
  /** gone: its history is over, and FASTAAPS will never show it. */
  state: 'shown' | 'timeout' | 'gone';
  /** The history that was waited for: `current` resolved. */
  history: number | null;
  /** The newest commit that FASTAAPS shows. */
  shows: { history: number; lsn: string } | null;
}

export interface ApiServices {
  /** Pool on the sync database. */
  readonly pool: pg.Pool;
  /** The schema of the run history, which holds the proofs too. */
  readonly schema: string;
  readonly connectors: readonly ApiConnector[];
  readonly runs: RunHistory;
  /**
   * Begins a run and resolves as soon as it stands in the history.
   * @throws RunConflict, IdempotencyConflict
   */
  start(options: RunOptions, asker: Asker, extra: StartExtra): Promise<Started>;
  /** Goes on where an earlier run was stopped, as a new run. @throws RunConflict, NotResumable */
  resume(id: string, asker: Asker, extra: StartExtra): Promise<Started>;
  /** The next runs by schedule. */
  scheduled(): readonly PlannedRun[];
  /**
   * Waits until FASTAAPS shows a commit (X/Y: its end LSN); `current`: of the connector's newest history.
   * @throws the signal's reason where it aborts
   */
  waitForPosition(
    connector: string,
    history: number | 'current',
    lsn: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Shown>;
}
