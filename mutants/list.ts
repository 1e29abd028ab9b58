import { CONSUMER } from './list/consumer.ts';
import { DELIVERY } from './list/delivery.ts';
import { PRODUCER } from './list/producer.ts';
import { RECONCILER } from './list/reconciler.ts';
import type { Mutant } from './mutant.ts';

/** Every guard whose absence must be noticed. */
export const MUTANTS: readonly Mutant[] = [...PRODUCER, ...CONSUMER, ...DELIVERY, ...RECONCILER];
