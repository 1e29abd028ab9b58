/** What a mutant must still do: load a plain sample and deliver a change, all equal. */
import { test } from 'node:test';
import { RunningPipeline } from '../test/support/running-pipeline.ts';

const pipeline = await RunningPipeline.start({ epsas: 30 });

test('the plain sample arrives, and a change after it', async () => {
  await pipeline.assertEqual('the first load');
  await pipeline.siirays.query(`UPDATE epsa SET sigla_epsa = 'PLANA' WHERE id_epsa = (SELECT max(id_epsa) FROM epsa)`);
  await pipeline.assertEqual('a change');
});
