import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Step } from '../../src/consumer/merge.ts';
import { cutAtShape } from '../../src/consumer/shape-cut.ts';
import { eventOf, record, shapeOf } from './change-events.ts';

const A = shapeOf('a', { id: 'integer' }, ['id']);
const WIDER = shapeOf('a', { id: 'integer', v: 'text' }, ['id']);
const B = shapeOf('b', { id: 'integer' }, ['id']);

const events = (table: number, ...shapes: (typeof A)[]): Step => ({
  kind: 'events',
  table,
  events: shapes.map((shape) => eventOf(shape, { op: 'd', before: ['1', null] })),
});
const end = (seq: number): Step => ({ kind: 'end', record: record('END', seq, {}), events: 1 });
const made = ({ table }: typeof A) => (table === 'a' ? A : undefined);

describe('a batch', () => {
  test('is cut before the unit with an event of another shape, whose other events are not applied either', () => {
    const steps = [events(1, B), end(1), events(0, A), end(2), events(1, B), events(0, A, WIDER), end(3), end(4)];
    const cut = cutAtShape(steps, made);
    assert.deepEqual(cut.steps, steps.slice(0, 4));
    assert.match(cut.changed!.message, /public\.a has changed its shape.*id integer; key id.*id integer, v text/);
    assert.deepEqual(cutAtShape(steps.slice(4), made).steps, []);
  });

  test('is whole where all fit, and where a table is made for what comes first', () => {
    const steps = [events(0, A), events(1, B), end(1), events(1, B)];
    assert.deepEqual(cutAtShape(steps, made), { steps, changed: null });
    const two = [events(0, WIDER), end(1), events(0, A), end(2)];
    assert.deepEqual(cutAtShape(two, () => undefined).steps, two.slice(0, 2));
  });
});
