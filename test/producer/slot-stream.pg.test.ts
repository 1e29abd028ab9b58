import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { disconnect } from '../../src/postgres/session.ts';
import { type PgoutputMessage, parsePgoutput } from '../../src/producer/pgoutput.ts';
import { SlotStream } from '../../src/producer/slot-stream.ts';
import { connectSource, ensureSlot, slotPosition } from '../../src/producer/source-session.ts';
import { testDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';

const database = await testDatabase({ wal_level: 'logical' });

describe('the session that holds the slot', () => {
  let client: pg.Client;
  let stream: SlotStream | undefined;
  let commits: Extract<PgoutputMessage, { tag: 'commit' }>[] = [];

  const open = async (): Promise<void> => {
    commits = [];
    stream = await SlotStream.open(
      database.url,
      { slot: 'ranura', publication: 'prueba', walSenderTimeoutMs: 10_000 },
      {
        onMessage: (_lsn, message) => {
          const parsed = parsePgoutput(message);
          if (parsed.tag === 'commit') commits.push(parsed);
        },
        onKeepalive: () => undefined,
        onError: () => undefined,
      },
    );
  };

  before(async () => {
    client = await connectSource(database.url);
    await client.query(
      'SET search_path = public; CREATE TABLE t (id integer PRIMARY KEY); CREATE PUBLICATION prueba FOR TABLE t',
    );
    await ensureSlot(client, 'ranura');
  });
  after(async () => {
    await stream?.close();
    await disconnect(client);
  });

  test('confirms exactly the end of a commit, so that what begins there comes again', async () => {
    await open();
    await client.query('INSERT INTO t VALUES (1)');
    await client.query('INSERT INTO t VALUES (2)');
    await until(() => commits.length === 2, 'two commits');
    const [first, second] = commits;
    await stream!.confirm(first!.endLsn);
    await until(async () => (await slotPosition(client, 'ranura')) >= first!.endLsn, 'the confirmation');
    assert.equal(await slotPosition(client, 'ranura'), first!.endLsn);
    await stream!.close();
    await open();
    await until(() => commits.length > 0, 'what was not confirmed');
    assert.equal(commits[0]!.commitLsn, second!.commitLsn);
  });

  test('says nothing of a position of which nothing is known', async () => {
    const before = await slotPosition(client, 'ranura');
    await stream!.confirm(parseLsn('0/0'));
    assert.equal(await slotPosition(client, 'ranura'), before);
  });
});
