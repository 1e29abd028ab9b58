import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Acknowledgement } from '../../src/producer/acknowledgement.ts';
import { START } from './fake-writer.ts';

const at = (end_lsn: bigint) => ({ ...START, end_lsn });

describe('what the server is told to be safe', () => {
  test('is what it knows itself until the stream has been found to continue what Kafka holds', () => {
    const acknowledgement = new Acknowledgement();
    assert.equal(acknowledgement.confirmed(false), 0n);
    acknowledgement.known(0x80n);
    acknowledgement.resumed(at(0x100n), 0);
    assert.equal(acknowledgement.confirmed(false), 0x80n, 'else the next start could not see that history is broken');
    assert.equal(acknowledgement.confirmed(true), 0x100n);
    acknowledgement.committed(at(0x180n));
    assert.deepEqual([acknowledgement.confirmed(false), acknowledgement.confirmed(true)], [0x80n, 0x180n]);
  });

  test('moves over foreign WAL after a while of idleness, or after much of it', () => {
    const acknowledgement = new Acknowledgement();
    acknowledgement.resumed(at(0x100n), 1_000);
    assert.equal(acknowledgement.isPositionDue(true, 0x100n, 9_000), false, 'there is none');
    acknowledgement.resumed(at(0x100n), 1_000);
    assert.equal(acknowledgement.isPositionDue(true, 0x200n, 2_900), false, 'not for long yet');
    assert.equal(acknowledgement.isPositionDue(false, 0x200n, 2_950), false);
    assert.equal(acknowledgement.isPositionDue(true, 0x200n, 4_900), false, 'it was not idle in between');
    assert.equal(acknowledgement.isPositionDue(true, 0x200n, 4_950), true);
    assert.equal(acknowledgement.isPositionDue(true, 0x200n, 5_000), false, 'once');
    assert.equal(acknowledgement.isPositionDue(true, 0x200n + 16n * 1024n * 1024n, 5_100), true, 'much of it');
  });
});
