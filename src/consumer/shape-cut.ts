import type { TableShape } from '../kafka/change-event.ts';
import type { Step } from './merge.ts';
import { ShapeChanged } from './shape-difference.ts';

/** What of some steps can be applied to tables as they were made. */
export interface Cut {
  /** Whole units from the first on; all steps where nothing has changed. */
  steps: readonly Step[];
  /** Why the unit after them cannot be applied. */
  changed: ShapeChanged | null;
}

/**
 * Cuts steps just before the first unit that holds an event of another shape than its table's.
 * @param shapeOf the shape that a table was made for; undefined where it will be made for the first event's
 */
export function cutAtShape(steps: readonly Step[], shapeOf: (event: TableShape) => TableShape | undefined): Cut {
  const made = new Map<number, TableShape>();
  let whole = 0;
  for (const [i, step] of steps.entries()) {
    if (step.kind === 'end') whole = i + 1;
    if (step.kind !== 'events') continue;
    const first = step.events[0]!.shape;
    const known = made.get(step.table) ?? shapeOf(first) ?? first;
    made.set(step.table, known);
    const other = step.events.find(({ shape }) => shape !== known && shape.fingerprint !== known.fingerprint);
    if (other) return { steps: steps.slice(0, whole), changed: new ShapeChanged(known, other.shape) };
  }
  return { steps, changed: null };
}
