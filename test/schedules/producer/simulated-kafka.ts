import type { Kafka, Message, TopicMessages } from 'kafkajs';
import type { Network } from '../network.ts';

interface KafkaTransaction {
  state: 'open' | 'committed' | 'aborted';
  topics: Set<string>;
}

interface Coordinator {
  epoch: number;
  transaction: KafkaTransaction | null;
  /** How the last one ended, for an end that is asked for twice. */
  ended: 'committed' | 'aborted' | null;
}

/**
 * One broker as a transactional producer sees it (KIP-98, with the verification of KIP-890): an epoch per transactional id,
 * which InitProducerId raises, aborting what is open; the end of a transaction that comes late ends whatever is open then,
 * provided that its epoch is still valid.
 */
export class SimulatedKafka {
  readonly #logs = new Map<string, { message: Message; transaction: KafkaTransaction }[]>();
  readonly #coordinators = new Map<string, Coordinator>();

  /** What a read_committed reader sees: up to the first message of an open transaction. */
  committed(topic: string): Message[] {
    const log = this.#logs.get(topic) ?? [];
    const stable = log.findIndex(({ transaction }) => transaction.state === 'open');
    const readable = stable === -1 ? log : log.slice(0, stable);
    return readable.filter(({ transaction }) => transaction.state === 'committed').map(({ message }) => message);
  }

  /** All messages of committed transactions, also those behind open ones. */
  finished(topic: string): Message[] {
    const log = this.#logs.get(topic) ?? [];
    return log.filter(({ transaction }) => transaction.state === 'committed').map(({ message }) => message);
  }

  /** The coordinator aborts what takes too long, and shuts its producer out. */
  timeOut(which: number): void {
    const open = [...this.#coordinators.values()].filter(({ transaction }) => transaction !== null);
    const coordinator = open[which % Math.max(1, open.length)];
    if (!coordinator) return;
    this.#end(coordinator, 'aborted');
    coordinator.epoch += 1;
  }

  /** A client of one process. */
  client(network: Network): Kafka {
    return {
      producer: ({ transactionalId }: { transactionalId: string }) => this.#producer(network, transactionalId),
    } as unknown as Kafka;
  }

  /** As kafkajs 2.2.4 does it: the id is initialised once, an end is sent only where something was written. */
  #producer(network: Network, id: string) {
    let epoch: number | null = null;
    return {
      connect: () => network.call(() => undefined),
      disconnect: async () => undefined,
      transaction: async () => {
        epoch ??= await network.call(() => this.#initProducerId(id));
        const mine = epoch;
        const added = new Set<string>();
        const end = async (state: 'committed' | 'aborted') => {
          if (added.size > 0) await network.call(() => this.#endTransaction(id, mine, state));
        };
        return {
          sendBatch: async ({ topicMessages }: { topicMessages: TopicMessages[] }) => {
            const fresh = topicMessages.map(({ topic }) => topic).filter((topic) => !added.has(topic));
            if (fresh.length > 0) await network.call(() => this.#addTopics(id, mine, fresh));
            for (const topic of fresh) added.add(topic);
            await network.call(() => this.#produce(id, mine, topicMessages));
          },
          commit: () => end('committed'),
          abort: () => end('aborted'),
        };
      },
    };
  }

  #initProducerId(id: string): number {
    const coordinator = this.#coordinators.get(id) ?? { epoch: -1, transaction: null, ended: null };
    this.#coordinators.set(id, coordinator);
    if (coordinator.transaction) this.#end(coordinator, 'aborted');
    coordinator.ended = null;
    coordinator.epoch += 1;
    return coordinator.epoch;
  }

  #valid(id: string, epoch: number): Coordinator {
    const coordinator = this.#coordinators.get(id)!;
    if (coordinator.epoch !== epoch) throw new Error('INVALID_PRODUCER_EPOCH');
    return coordinator;
  }

  #addTopics(id: string, epoch: number, topics: string[]): void {
    const coordinator = this.#valid(id, epoch);
    coordinator.transaction ??= { state: 'open', topics: new Set() };
    for (const topic of topics) coordinator.transaction.topics.add(topic);
  }

  #produce(id: string, epoch: number, topicMessages: TopicMessages[]): void {
    const { transaction } = this.#valid(id, epoch);
    for (const { topic, messages } of topicMessages) {
      if (!transaction?.topics.has(topic)) throw new Error('INVALID_TXN_STATE');
      const log = this.#logs.get(topic) ?? [];
      for (const message of messages) log.push({ message, transaction });
      this.#logs.set(topic, log);
    }
  }

  #endTransaction(id: string, epoch: number, state: 'committed' | 'aborted'): void {
    const coordinator = this.#valid(id, epoch);
    if (coordinator.transaction) this.#end(coordinator, state);
    else if (coordinator.ended !== state) throw new Error('INVALID_TXN_STATE');
  }

  #end(coordinator: Coordinator, state: 'committed' | 'aborted'): void {
    coordinator.transaction!.state = state;
    coordinator.transaction = null;
    coordinator.ended = state;
  }
}
