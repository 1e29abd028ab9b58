/** A reader of FASTAAPS never sees half of a SIIRAyS transaction. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { otherContent } from '../../embedded/siirays/other-content.ts';
import { canonicalText, referenceDocuments } from '../connector/reference-projection.ts';
import { normalised, RunningPipeline, type Shown } from '../support/running-pipeline.ts';

const EPSAS = 400;
const pipeline = await RunningPipeline.start({ epsas: EPSAS });
const { siirays } = pipeline;

/** Polls FASTAAPS without a pause until told to stop, and looks at each answer. */
function polling(look: (shown: Shown) => void): { stop(): Promise<number> } {
  let going = true;
  const done = (async () => {
    let answers = 0;
    let last = { history: 0, seq: 0n };
    while (going) {
      const shown = await pipeline.shown();
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
    const dead = new Set(await pipeline.deadLetters());
    const poll = polling(({ documents }) => {
      const marks = new Set<string>();
      for (const [id, text] of documents) {
        if (dead.has(id)) continue;
        for (const match of text.matchAll(/lote \d+/g)) marks.add(match[0]);
      }
      assert.equal(marks.size, 1, `a mixture of ${[...marks].join(', ')}`);
      for (const mark of marks) seen.add(mark);
    });
    for (let i = 1; i <= 40; i++) {
      await siirays.query(`BEGIN;
        UPDATE epsa SET fax = 'lote ${i}';
        UPDATE problemas_contaminacion SET descripcion = 'lote ${i}';
        UPDATE tipo_sistema_ap SET descripcion_tipo_sistema_ap = 'lote ${i}' WHERE id_tipo_sistema_ap = 4242;
        COMMIT`);
    }
    await pipeline.assertEqual('all marks');
    const answers = await poll.stop();
    assert.ok(answers > 5 && seen.size > 3, `${answers} answers saw ${seen.size} of 41 marks`);
    assert.ok(seen.has('lote 40'));
  });

  test('completely different content, loaded in one transaction, replaces the old without a mixture', async () => {
    await siirays.query(`DELETE FROM requerimiento_desarrollo WHERE descripcion IS NULL`);
    const old = await pipeline.assertEqual('before');
    let next: Map<string, string> | null = null;
    const kinds = { old: 0, new: 0 };
    const answers: Map<string, string>[] = [];
    const poll = polling(({ documents }) => {
      // The newest answers are judged when the new content is known.
      answers.push(documents);
      if (answers.length > 400) answers.splice(1, 1);
    });
    const content = { epsas: EPSAS, seed: 7, firstId: 1601 + EPSAS / 2, broken: false };
    for (const statement of otherContent(content)) await siirays.query(statement);
    next = new Map(
      [...referenceDocuments(await pipeline.siiraysRows())].map(([id, { document }]) => [
        id,
        canonicalText(normalised(document)),
      ]),
    );
    await pipeline.assertEqual('after', 120_000);
    await poll.stop();
    for (const documents of answers) {
      if (
        documents.size === old.documents.size &&
        [...documents].every(([id, text]) => old.documents.get(id) === text)
      ) {
        kinds.old++;
        continue;
      }
      assert.equal(documents.size, next.size, 'neither the old set nor the new one');
      const other: [string, string][] = [...documents].filter(([id]) => !next!.has(id));
      assert.deepEqual(other, [], 'documents of the old content beside the new');
      kinds.new++;
    }
    assert.ok(kinds.old > 0 && kinds.new > 0, `${kinds.old} answers with the old content, ${kinds.new} with the new`);
  });
});
