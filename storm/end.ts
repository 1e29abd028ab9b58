import { setTimeout as sleep } from 'node:timers/promises';
import { loadConnectors } from '../src/connector/load.ts';
import { topicsFor } from '../src/kafka/topics.ts';
import { parseLsn } from '../src/postgres/lsn.ts';
import { connect, disconnect, startupOptions, TEXT_VALUES, VALUE_SETTINGS } from '../src/postgres/session.ts';
import { allUnits, type WitnessedUnit } from '../test/support/topic-witness.ts';
import type { Stage } from './stage.ts';
import type { Timeline } from './timeline.ts';
import { sumOf } from './witness/mirror.ts';
import { readTables, type Witness } from './witness/witness.ts';

export interface EndOptions {
  stage: Stage;
  witness: Witness;
  timeline: Timeline;
  /** Documents that were refused and stand as they were. */
  refused(): string[];
  withinMs: number;
}

/**
 * When nobody writes any more and everything has healed: both sides show the last commit, the dead letters are those
 * that must be there, and the topics hold every committed transaction exactly once, in order. The states themselves are
 * judged with the history. Returns what differs.
 */
export async function compareEnd(options: EndOptions): Promise<string[]> {
  const { stage, witness, timeline, refused, withinMs } = options;
  const { stack } = stage;
  await touch(stack.endpoints.siirays);
  await witness.end();
  const last = timeline.commits.at(-1)!;
  const deadline = performance.now() + withinMs;
  const shows = (state: { lsn: string } | undefined) => state !== undefined && parseLsn(state.lsn) >= last.lsn;
  while (!(shows(timeline.shown) && shows(timeline.kept) && timeline.settled)) {
    if (performance.now() > deadline) {
      const { shown, kept } = timeline;
      return [`the last commit is not shown after ${withinMs / 1000} s: FASTAAPS ${shown?.lsn}, replica ${kept?.lsn}`];
    }
    await sleep(50);
  }
  return [
    ...(await differentFromSiirays(stage, witness, timeline)),
    ...(await wrongDeadLetters(stack.endpoints.sync, refused())),
    ...(await wrongTopics(stage, timeline, withinMs)),
  ];
}

/** One commit more, after everything. */
async function touch(url: string): Promise<void> {
  const client = await connect({ connectionString: url });
  await client.query(
    `UPDATE epsa SET observacion = 'fin de la tormenta' WHERE id_epsa = (SELECT max(id_epsa) FROM epsa)`,
  );
  await disconnect(client);
}

/** SIIRAyS's own rows: so the witness is proved as well. */
async function differentFromSiirays(stage: Stage, witness: Witness, timeline: Timeline): Promise<string[]> {
  const settings = { types: TEXT_VALUES, options: startupOptions(VALUE_SETTINGS) };
  const client = await connect({ connectionString: stage.stack.endpoints.siirays, ...settings });
  const rows = await readTables(client, 'public', witness.shapes);
  await disconnect(client);
  return Object.entries(rows)
    .filter(([table, ofTable]) => sumOf(ofTable) !== timeline.kept!.tables[table])
    .map(([table]) => `at the end: rows of ${table} are not SIIRAyS's`);
}

async function wrongDeadLetters(sync: string, expected: readonly string[]): Promise<string[]> {
  const client = await connect({ connectionString: sync });
  const { rows } = await client.query<{ id: string }>('SELECT id FROM epsa_sync.dead_letter');
  await disconnect(client);
  const found = rows.map(({ id }) => id).sort();
  return found.join() === expected.toSorted().join()
    ? []
    : [`at the end: dead letters are ${found.join() || 'none'}, must be ${expected.join() || 'none'}`];
}

/** Every commit that the witness told is in the topics exactly once, in order, with all its events. */
async function wrongTopics(stage: Stage, timeline: Timeline, withinMs: number): Promise<string[]> {
  const { KAFKA_BROKERS, REGISTRY_URL } = stage.stack.environment('producer');
  const tables = loadConnectors('connectors').flatMap((connector) => [...connector.tables]);
  let units: WitnessedUnit[];
  try {
    units = await allUnits({ kafka: KAFKA_BROKERS!, registry: REGISTRY_URL! }, topicsFor('siirays'), tables, withinMs);
  } catch (error) {
    return [`at the end: topics: ${(error as Error).message}`];
  }
  const differences: string[] = [];
  const streamed = units.filter(({ kind }) => kind === 'stream');
  const offset = streamed.findIndex(({ id }) => id.split(':')[0] === timeline.commits[0]!.xid);
  timeline.commits.forEach(({ xid, events }, at) => {
    const unit = streamed[offset + at];
    const found = unit?.id.split(':')[0];
    if (found !== xid) differences.push(`at the end: topics: transaction ${xid} is expected, ${found} is there`);
    else if (unit!.events !== events)
      differences.push(`at the end: topics: ${xid} has ${unit!.events} of ${events} events`);
  });
  const more = streamed.length - Math.max(0, offset) - timeline.commits.length;
  if (more > 0) differences.push(`at the end: topics: ${more} transactions that SIIRAyS has not committed`);
  units.forEach((unit, at) => {
    const before = units[at - 1];
    if (before && before.history === unit.history && unit.seq !== before.seq + 1n) {
      differences.push(`at the end: topics: seq ${unit.seq} comes after ${before.seq}`);
    }
  });
  return differences.slice(0, 20);
}
