/**
 * What came from Kafka does not continue what the replica holds (a hole, another history, missing events). The replica is
 * then frozen as it is and a full snapshot is asked for; retrying would not help.
 */
export class BrokenHistory extends Error {
  override readonly name = 'BrokenHistory';
}

/** Another process has taken over: nothing of this one may be committed any more. */
export class TokenLost extends Error {
  override readonly name = 'TokenLost';
}
