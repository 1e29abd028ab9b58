import type { Part } from '../../embedded/part.ts';
import type { Stack } from '../../embedded/stack.ts';
import type { LinkName, StormPart } from '../plan.ts';
import type { EndTxnHold } from '../proxy/end-txn-hold.ts';
import type { FastaapsProxy } from '../proxy/fastaaps-proxy.ts';
import type { Link } from '../proxy/link.ts';
import type { Clocks } from './clocks.ts';

/** What faults are made on. */
export interface Arena {
  stack: Stack;
  links: Record<LinkName, Link>;
  fastaaps: FastaapsProxy;
  endTxn: EndTxnHold;
  clocks: Clocks | undefined;
  /** Waits for the next start of this part's process. */
  nextStart(part: StormPart): Promise<void>;
  /** Starts a second producer or consumer with the first one's settings, beside it. */
  startSecond(part: 'producer' | 'consumer'): Promise<Part>;
}
