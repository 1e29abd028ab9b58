import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { OTHER_CONTENT, otherContent } from '../../../embedded/siirays/other-content.ts';
import { loadSample } from '../../../embedded/siirays/sample.ts';
import { disconnect } from '../../../src/postgres/session.ts';
import { emptySiirays, fingerprint, lackingEpsas, number, TABLES } from './siirays-database.ts';

const { client } = await emptySiirays();
after(() => disconnect(client));

it('other content replaces the sample by completely different rows, about 134,000, in one transaction', async () => {
  await loadSample(client, { epsas: 3000 });
  const before = await fingerprint(client);
  const statements = [...otherContent()];
  assert.equal(statements.filter((statement) => /^(BEGIN|COMMIT);/.test(statement)).length, 2);
  for (const statement of statements) await client.query(statement);
  assert.notEqual(await fingerprint(client), before);
  const counts = TABLES.map(({ name }) => `(SELECT count(*) FROM ${name})`).join(' + ');
  const rows = await number(client, `SELECT ${counts}`);
  assert.ok(rows > 132_000 && rows < 136_000, String(rows));
  assert.equal(await number(client, 'SELECT min(id_epsa) FROM epsa'), OTHER_CONTENT.firstId);
  assert.deepEqual(await lackingEpsas(client), []);
});

it('other content, printed as SQL, is what the sample loader makes of the same options', async () => {
  const options = { epsas: 100, seed: 5, firstId: 50, broken: false };
  for (const statement of otherContent(options)) await client.query(statement);
  const printed = await fingerprint(client);
  const loaded = await emptySiirays();
  await loadSample(loaded.client, options);
  assert.equal(await fingerprint(loaded.client), printed);
  await disconnect(loaded.client);
});
