import type { ProofAge } from '../runs/proofs.ts';
import { readConnectorState } from './connector-status.ts';
import { isoTime, runAnswer } from './run-answer.ts';
import type { ApiConnector, ApiServices } from './services.ts';

/** Reading it goes over all proofs, of which there is one per document. */
const PROOF_FRESH_MS = 5_000;

/** How everything stands, for the console: the answer of GET /status. It holds no ages of proofs, which would change by themselves. */
export class StatusReader {
  readonly #services: ApiServices;
  readonly #proofs = new Map<string, { readAt: number; age: Promise<ProofAge> }>();

  constructor(services: ApiServices) {
    this.#services = services;
  }

  async read(): Promise<Record<string, unknown>> {
    const { connectors, scheduled } = this.#services;
    const next = scheduled().map((run) => ({ ...run, at: isoTime(run.at) }));
    return {
      connectors: await Promise.all(connectors.map((connector) => this.#connector(connector))),
      scheduled: next,
    };
  }

  async #connector({ name }: ApiConnector): Promise<Record<string, unknown>> {
    const { pool, runs } = this.#services;
    const [state, running, lastSuccess, lastVerdict, proof] = await Promise.all([
      readConnectorState(pool, name),
      runs.running(name),
      runs.lastSuccess(name),
      runs.lastVerdict(name),
      this.#proof(name),
    ]);
    return {
      name,
      ...state,
      running: running[0] === undefined ? null : runAnswer(running[0]),
      lastSuccessAt: isoTime(lastSuccess),
      lastVerdictAt: isoTime(lastVerdict),
      proof: { oldest: isoTime(proof.oldest), newest: isoTime(proof.newest), documents: proof.documents },
    };
  }

  #proof(connector: string): Promise<ProofAge> {
    const now = performance.now();
    const known = this.#proofs.get(connector);
    if (known !== undefined && now - known.readAt < PROOF_FRESH_MS) return known.age;
    const age = this.#services.runs.ageOfProof(connector);
    this.#proofs.set(connector, { readAt: now, age });
    // A failure is not remembered.
    age.catch(() => this.#proofs.delete(connector));
    return age;
  }
}
