/**
 * How long proving takes beside the job that is replaced, in the same run, on the stack of a running `npm start`:
 *   npm run bench:proof -- [rounds]
 * Best and median of each in milliseconds, and the ratios to the replaced job. SIIRAyS is read without rests.
 */
import { withDevEndpoints } from '../src/cli/dev-endpoints.ts';
import { loadReconcileConfig } from '../src/config/config.ts';
import { loadConnectors } from '../src/connector/load.ts';
import { createKafka } from '../src/kafka/client.ts';
import { createLogger } from '../src/logging/logger.ts';
import { connect, disconnect } from '../src/postgres/session.ts';
import type { Candidate, Comparison } from '../src/reconciler/comparison.ts';
import { connectorSides } from '../src/reconciler/connector-sides.ts';
import type { RunRecorder } from '../src/reconciler/types.ts';
import { buildAllDocuments } from './replaced-job.ts';

const rounds = Number(process.argv[2] ?? 7);
const config = { ...loadReconcileConfig(withDevEndpoints(process.env)), siiraysShare: 1 };
const connectors = loadConnectors(config.connectorsDir);
const connector = connectors[0]!;
const signal = new AbortController().signal;
const recorder = { signal, note: (text: string) => console.log(text) } as unknown as RunRecorder;
const kafka = createKafka(config.kafka, createLogger({ name: 'bench', level: 'silent' }));
const sides = connectorSides(config, kafka, connector, connectors, recorder);
const siirays = await connect({ connectionString: config.siirays.url });

/** Everything once; gives how much was compared. */
async function scan(comparison: Comparison<Candidate>): Promise<string> {
  let [compared, candidates] = [0, 0];
  for await (const range of comparison.scan(null, signal)) {
    compared += range.compared;
    candidates += range.candidates.length;
  }
  await comparison.close();
  return `${compared} compared, ${candidates} candidates`;
}

const subjects: Record<string, () => Promise<string>> = {
  'replaced job': async () => `${(await buildAllDocuments(siirays, connector.definition)).size} documents`,
  'proof of documents': () => scan(sides.documents(null, () => undefined)),
  'proof of rows': () => scan(sides.rows(null, () => undefined)),
  'direct proof': () => scan(sides.direct(null, () => undefined)),
};
const times = new Map<string, number[]>(Object.keys(subjects).map((name) => [name, []]));
const said = new Map<string, string>();
for (let round = 0; round <= rounds; round++) {
  for (const [name, work] of Object.entries(subjects)) {
    const started = performance.now();
    said.set(name, await work());
    // The first round warms caches and plans.
    if (round > 0) times.get(name)!.push(performance.now() - started);
  }
}
const base = median(times.get('replaced job')!);
for (const [name, ms] of times) {
  const figures = `best ${Math.min(...ms).toFixed(0)} ms, median ${median(ms).toFixed(0)} ms`;
  console.log(
    `${name.padEnd(20)} ${figures}, ${(median(ms) / base).toFixed(2)} of the replaced job; ${said.get(name)}`,
  );
}
console.log(`peak memory of this process ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
await Promise.all([disconnect(siirays), sides.close()]);
process.exit(0);

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
