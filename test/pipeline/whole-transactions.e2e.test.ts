/** A reader of FASTAAPS never sees half of a SIIRAyS transaction. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { otherContent } from '../../embedded/siirays/other-content.ts';
import { loadSample } from '../../embedded/siirays/sample.ts';
import { canonicalText, referenceDocuments } from '../connector/reference-projection.ts';
import { type Answer, normalised, RunningPipeline, read } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';

const EPSAS = 400;
// No dead letters: such a document keeps its old version, which a reader could not tell from a mixture.
const load = (client: pg.Client) => loadSample(client, { epsas: EPSAS, broken: false });
const pipeline = await RunningPipeline.start({ load });
const { siirays } = pipeline;

/** Polls FASTAAPS without a pause until told to stop, and looks at each answer. */
function polling(look: (answer: Answer) => void): { stop(): Promise<number> } {
  let going = true;
  const done = (async () => {
    let answers = 0;
    let last = { history: 0, seq: 0n };
    while (going) {
      const shown = await pipeline.answer();
      assert.ok(shown.history > last.history || shown.seq >= last.seq, 'the position never goes back');
      last = shown;
      look(shown);
      answers++;
    }
    return answers;
  })();
  done.catch(() => undefined);
  return {
    stop: () => {
      going = false;
      return done;
    },
  };
}

describe('whole transactions', { timeout: 280_000 }, () => {
  test('the same mark in four tables of every EPSA is never seen in part', async () => {
    await siirays.query(`BEGIN;
      DELETE FROM problemas_contaminacion; DELETE FROM sistema_ap;
      INSERT INTO problemas_contaminacion SELECT id_epsa, id_epsa, 'lote 0' FROM epsa;
      INSERT INTO sistema_ap SELECT id_epsa, id_epsa, 4242 FROM epsa;
      INSERT INTO tipo_sistema_ap VALUES (4242, 'lote 0');
      UPDATE epsa SET fax = 'lote 0';
      COMMIT`);
    await pipeline.assertEqual('the marks');
    const seen = new Set<string>();
    assert.deepEqual(await pipeline.deadLetters(), [], 'every document is shown');
    const poll = polling(({ text }) => {
      const marks = new Set(text.match(/lote \d+/g));
      assert.equal(marks.size, 1, `a mixture of ${[...marks].join(', ')}`);
      for (const mark of marks) seen.add(mark);
    });
    for (let i = 1; i <= 40; i++) {
      await siirays.query(`BEGIN;
        UPDATE epsa SET fax = 'lote ${i}';
        UPDATE problemas_contaminacion SET descripcion = 'lote ${i}';
        UPDATE tipo_sistema_ap SET descripcion_tipo_sistema_ap = 'lote ${i}' WHERE id_tipo_sistema_ap = 4242;
        COMMIT`);
      // Under a backlog several commits are delivered as one: now and then the reader may catch up.
      if (i % 4 === 0) {
        const before = seen.size;
        await until(() => seen.size > before, 'the reader to see another mark', 30_000);
      }
    }
    await pipeline.assertEqual('all marks');
    const answers = await poll.stop();
    assert.ok(answers > 10 && seen.size > 10, `${answers} answers saw ${seen.size} of 41 marks`);
    assert.ok(seen.has('lote 40'));
  });

  test('completely different content, loaded in one transaction, replaces the old without a mixture', async () => {
    const old = await pipeline.assertEqual('before');
    const kinds = { old: 0, new: 0 };
    // Judged when the new content is known; equal answers are kept once.
    const answers = new Map<string, Answer>();
    const poll = polling((answer) => answers.set(answer.text, answer));
    const content = { epsas: EPSAS, seed: 7, firstId: 1601 + EPSAS / 2, broken: false };
    for (const statement of otherContent(content)) await siirays.query(statement);
    const next = new Map(
      [...referenceDocuments(await pipeline.siiraysRows())].map(([id, { document }]) => [
        id,
        canonicalText(normalised(document)),
      ]),
    );
    await pipeline.assertEqual('after', 120_000);
    await poll.stop();
    for (const { documents } of [...answers.values()].map(read)) {
      if (
        documents.size === old.documents.size &&
        [...documents].every(([id, text]) => old.documents.get(id) === text)
      ) {
        kinds.old++;
        continue;
      }
      assert.equal(documents.size, next.size, 'neither the old set nor the new one');
      const other: [string, string][] = [...documents].filter(([id]) => !next.has(id));
      assert.deepEqual(other, [], 'documents of the old content beside the new');
      kinds.new++;
    }
    assert.ok(kinds.old > 0 && kinds.new > 0, `${kinds.old} answers with the old content, ${kinds.new} with the new`);
  });
});
