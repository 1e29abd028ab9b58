import type { Mutant } from '../mutant.ts';

const ACKNOWLEDGE = 'src/consumer/delivery/acknowledge.ts';
const CHANGES = 'src/consumer/delivery/changes-delivery.ts';
const EPOCH = 'src/consumer/delivery/epoch.ts';
const GUARD = 'src/consumer/delivery/epoch-guard.ts';
const CHANGES_TEST = 'test/consumer/delivery/changes.pg.test.ts';
const EPOCHS_TEST = 'test/consumer/delivery/epochs.pg.test.ts';
const ERRORS_TEST = 'test/consumer/delivery/errors.pg.test.ts';

export const DELIVERY: Mutant[] = [
  {
    name: 'newer-version-lost',
    guard: 'A version that was projected while an older one was on its way stays in the outbox.',
    file: ACKNOWLEDGE,
    find: 'WHERE o.id = sent.id AND (o.epoch, o.version) = ($1, sent.version)),',
    replace: 'WHERE o.id = sent.id),',
    tests: [CHANGES_TEST],
  },
  {
    name: 'newer-version-buried',
    guard: 'A document that has a newer version by now does not become a dead letter.',
    file: ACKNOWLEDGE,
    find: 'ON (d.id, d.epoch, d.version) = (t.id, t.epoch::integer, t.version::bigint)),',
    replace: 'ON d.id = t.id),',
    tests: [ERRORS_TEST, CHANGES_TEST],
  },
  {
    name: 'written-down-without-token',
    guard: 'An answer is not written down by a consumer that has lost its token.',
    file: ACKNOWLEDGE,
    find: "await client.query(held.rowCount === 1 ? 'COMMIT' : 'ROLLBACK');",
    replace: "await client.query('COMMIT');",
    tests: [CHANGES_TEST, ERRORS_TEST],
  },
  {
    name: 'sent-without-token',
    guard: 'A consumer that has lost its token sends nothing.',
    file: 'src/consumer/delivery/snapshot-round.ts',
    find: 'if (pending.token !== token) throw',
    replace: "if (pending.token === '') throw",
    tests: [CHANGES_TEST, ERRORS_TEST],
  },
  {
    name: 'ignored-unnoticed',
    guard: 'Documents that FASTAAPS ignores unexpectedly get new versions of a higher epoch.',
    file: CHANGES,
    find: 'if (result.ignored > expected) {',
    replace: 'if (result.ignored < 0 * expected) {',
    tests: [EPOCHS_TEST],
  },
  {
    name: 'answer-unchecked',
    guard: 'An answer that does not list what was sent is none.',
    file: CHANGES,
    find: 'if (listed === sent && applied + ignored === sent) return;',
    replace: 'if (listed >= 0) return;',
    tests: [ERRORS_TEST, CHANGES_TEST],
  },
  {
    name: 'lost-answer-raises-epoch',
    guard: 'Documents that are ignored since they had arrived, though the answer was lost, are no surprise.',
    file: CHANGES,
    find: 'return arrived?.documents ?? 0;',
    replace: 'return arrived ? 0 : 0;',
    tests: [CHANGES_TEST, EPOCHS_TEST, ERRORS_TEST],
  },
  {
    name: 'changeset-of-two-moments',
    guard: 'A changeset is read in one snapshot of the bookkeeping.',
    file: 'src/consumer/delivery/pending.ts',
    find: 'BEGIN ISOLATION LEVEL REPEATABLE READ;',
    replace: 'BEGIN ISOLATION LEVEL READ COMMITTED;',
    tests: [CHANGES_TEST],
  },
  {
    name: 'epoch-not-above',
    guard: 'The epoch is raised above the one that FASTAAPS holds.',
    file: EPOCH,
    find: 'return ours > theirs ? ours : theirs + 1;',
    replace: 'return ours > theirs ? ours : theirs;',
    tests: [EPOCHS_TEST],
  },
  {
    name: 'ahead-unnoticed',
    guard: 'A FASTAAPS that holds more than we know of is noticed at the start.',
    file: EPOCH,
    find: "return order === 0 ? 'equal' : order > 0 ? 'ahead' : 'behind';",
    replace: "return order === 0 || order > 0 ? 'equal' : 'behind';",
    tests: [EPOCHS_TEST],
  },
  {
    name: 'behind-unnoticed',
    guard: 'A FASTAAPS that was restored or emptied is noticed at the start.',
    file: EPOCH,
    find: "return order === 0 ? 'equal' : order > 0 ? 'ahead' : 'behind';",
    replace: "return order === 0 || order < 0 ? 'equal' : 'ahead';",
    tests: [EPOCHS_TEST],
  },
  {
    name: 'empty-fastaaps-unnoticed',
    guard: 'A FASTAAPS without a position holds nothing of ours.',
    file: EPOCH,
    find: "if (theirs === null) return 'behind';",
    replace: "if (theirs === null) return 'equal';",
    tests: [EPOCHS_TEST],
  },
  {
    name: 'old-epoch-sent',
    guard: 'What waits in the outbox with an old epoch gets a new version before it is sent.',
    file: GUARD,
    find: 'if (pending.unfit > 0) {',
    replace: 'if (pending.unfit < 0) {',
    tests: [EPOCHS_TEST],
  },
  {
    name: 'surplus-not-marked',
    guard: 'Documents that FASTAAPS holds and we do not are marked.',
    file: EPOCH,
    find: 'FULL JOIN pg_temp.fastaaps_version',
    replace: 'LEFT JOIN pg_temp.fastaaps_version',
    tests: [EPOCHS_TEST],
  },
  {
    name: 'line-feed-in-a-line',
    guard: 'A document is one line of the changeset.',
    file: 'src/consumer/delivery/changeset-lines.ts',
    find: "return json.includes('\\n') || json.includes('\\r') ? json.replaceAll(/[\\r\\n]/g, ' ') : json;",
    replace: 'return json;',
    tests: [CHANGES_TEST],
  },
  {
    name: 'older-version-wins',
    guard: 'FASTAAPS ignores a version that is not greater than the one it holds.',
    file: 'embedded/fastaaps/changeset.ts',
    find: 'WHERE (d.epoch, d.version) < (excluded.epoch, excluded.version)`',
    replace: 'WHERE (d.epoch, d.version) <> (excluded.epoch, excluded.version)`',
    tests: ['test/fastaaps/changes.pg.test.ts'],
  },
];
