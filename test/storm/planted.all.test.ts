/** What is planted in FASTAAPS in the middle of a storm must make the storm fail. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type pg from 'pg';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { runStorm } from '../../storm/run.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

type Plant = (fastaaps: pg.Client) => Promise<void>;

const ONE = `db_tag = 'sync' AND id = (SELECT min(id) FROM document WHERE db_tag = 'sync' AND document IS NOT NULL)`;

const PLANTS: Record<string, { plant: Plant; told: RegExp }> = {
  'a wrong document': {
    plant: async (fastaaps) => {
      const wrong = `jsonb_set(document, '{informacion_general,fax}', '"otro"')`;
      await fastaaps.query(`UPDATE document SET document = ${wrong} WHERE ${ONE}`);
    },
    told: /document \d+ differs/,
  },
  'a lost document': {
    plant: async (fastaaps) => {
      await fastaaps.query(`DELETE FROM document WHERE ${ONE}`);
    },
    told: /document \d+ is missing/,
  },
  'half a changeset': {
    plant: async (fastaaps) => {
      const read = async () =>
        (
          await fastaaps.query<{ id: string; d: string }>(
            `SELECT id, document::text AS d FROM document WHERE db_tag = 'sync' AND document IS NOT NULL`,
          )
        ).rows;
      const before = new Map((await read()).map(({ id, d }) => [id, d]));
      const changed = await until(
        async () => {
          const now = (await read()).filter(({ id, d }) => before.has(id) && before.get(id) !== d);
          return now.length > 1 && now;
        },
        'a changeset of several documents',
        60_000,
      );
      const { id } = (changed as { id: string }[])[0]!;
      await fastaaps.query(`UPDATE document SET document = $2 WHERE db_tag = 'sync' AND id = $1`, [id, before.get(id)]);
    },
    told: /document \d+ differs/,
  },
};

describe('a storm with something planted in FASTAAPS', { timeout: 1_700_000 }, () => {
  for (const [what, { plant, told }] of Object.entries(PLANTS)) {
    test(`fails for ${what}`, async () => {
      const dir = tempDir('storm');
      after(() => dir.remove());
      const inTheMiddle = async ({ fastaapsDatabase }: { fastaapsDatabase: string }) => {
        const client = await connect({ connectionString: fastaapsDatabase });
        await plant(client);
        await disconnect(client);
      };
      const lines: string[] = [];
      const print = (line: string) => lines.push(line);
      const { differences } = await runStorm({ minutes: 0.3, seed: 1, dir: dir.path, print, inTheMiddle });
      assert.match(differences.join('\n'), told, lines.join('\n'));
    });
  }
});
