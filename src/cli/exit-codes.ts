import { EXIT_CONFIGURATION } from '../config/configuration-error.ts';

/** Exit codes of every command. Those of 64 and above are named as in sysexits.h. */
export const EXIT = {
  /** Done, or ended as asked by SIGTERM or SIGINT. */
  ok: 0,
  /** Failed; the log or the standard error output says why. */
  failed: 1,
  /** reconcile: verify has found differences, or repair has left some; dead-letters: there are some, or it was refused again. */
  differences: 2,
  /** reconcile: something could not be decided; dead-letters: not in time. */
  undecided: 3,
  /** reconcile: cancelled. */
  cancelled: 4,
  /** Wrong command line. */
  usage: 64,
  /** dead-letters: there is none of this id. */
  absent: 66,
  /** Another run is under way. */
  busy: 75,
  /** Wrong configuration or connector: starting again does not help before it is mended. */
  configuration: EXIT_CONFIGURATION,
} as const;

/** For --help. */
export const EXIT_CODES_HELP = `
Exit codes:
  0   done, or ended as asked (SIGTERM, SIGINT)
  1   failed: the log, or standard error, says why
  64  wrong command line
  78  wrong configuration or connector: every mistake is listed; starting again does not help before it is mended
  128+n  a second signal n ended the process at once`;
