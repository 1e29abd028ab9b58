import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KINDS, type PlanOptions, requiredKinds, type Step, stepsOf } from '../../storm/plan.ts';

function first(count: number, options: PlanOptions): Step[] {
  const steps: Step[] = [];
  for (const step of stepsOf(options)) {
    if (steps.push(step) === count) break;
  }
  return steps;
}

test('the same seed gives the same plan, another one another', () => {
  const plan = (seed: number) => JSON.stringify(first(200, { minutes: 5, seed }));
  assert.equal(plan(7), plan(7));
  assert.notEqual(plan(7), plan(8));
});

test('a storm of 30 minutes must have every kind of fault, one of a minute one of several families', () => {
  assert.deepEqual(requiredKinds({ minutes: 30, seed: 3 }).sort(), [...KINDS].sort());
  const few = requiredKinds({ minutes: 1, seed: 3 });
  assert.equal(few.length, 6);
  assert.equal(new Set(few.map((kind) => kind.split(' ')[0])).size, 6);
});

test('the required kinds come first, in the order that the seed gives', () => {
  const options = { minutes: 2, seed: 11 };
  const required = requiredKinds(options);
  const steps = first(required.length, options);
  assert.deepEqual(
    steps.map(({ kind }) => kind),
    required,
  );
});

test('kinds that cannot be had are neither required nor tried', () => {
  const options = { minutes: 30, seed: 5, without: ['clock forward', 'clock back'] };
  assert.equal(requiredKinds(options).length, KINDS.length - 2);
  assert.ok(first(500, options).every(({ kind }) => !kind.startsWith('clock')));
});
