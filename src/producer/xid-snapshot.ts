/** PostgreSQL's pg_snapshot (manual, 9.27.? "Transaction ID and Snapshot Information Functions"). */
export interface XidSnapshot {
  xmin: bigint;
  xmax: bigint;
  inProgress: ReadonlySet<bigint>;
}

/** Reads `xmin:xmax:xip,xip`. */
export function parseXidSnapshot(text: string): XidSnapshot {
  const [xmin, xmax, list] = text.split(':');
  if (xmin === undefined || xmax === undefined || list === undefined) throw new RangeError(`not a snapshot: ${text}`);
  return {
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    inProgress: new Set(list === '' ? [] : list.split(',').map((xid) => BigInt(xid))),
  };
}

const EPOCH = 1n << 32n;
const HALF = 1n << 31n;

/**
 * The 64-bit transaction id behind a 32-bit one of the replication stream, taken as the one nearest to `near`:
 * PostgreSQL never lets live ids lie further apart than half the circle (manual, 24.1.5).
 */
export function widenXid(xid: number, near: bigint): bigint {
  const wide = (near & ~(EPOCH - 1n)) | BigInt(xid);
  if (wide - near > HALF) return wide - EPOCH;
  if (near - wide > HALF) return wide + EPOCH;
  return wide;
}

/** Whether a snapshot sees a committed transaction. */
export function sees(snapshot: XidSnapshot, xid: number): boolean {
  const wide = widenXid(xid, snapshot.xmax);
  if (wide < snapshot.xmin) return true;
  if (wide >= snapshot.xmax) return false;
  return !snapshot.inProgress.has(wide);
}
