import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BatchPrinter } from '../../../embedded/start/batch-printer.ts';

function printed(...entries: (object | string)[]): string[] {
  const lines: string[] = [];
  const printer = new BatchPrinter((line) => lines.push(line));
  for (const entry of entries) printer.take('consumer', typeof entry === 'string' ? entry : JSON.stringify(entry));
  return lines;
}

const DELIVERED = {
  level: 'info',
  event: 'changeset_delivered',
  documents: 3,
  deleted: 0,
  lsn: '0/16B3748',
  delayMs: 12.4,
};

describe('the lines of npm start', () => {
  it('are one for each delivered batch', () => {
    assert.deepEqual(printed(DELIVERED, { ...DELIVERED, documents: 1, deleted: 1, delayMs: undefined }), [
      'delivered 3 documents: SIIRAyS at 0/16B3748, 12 ms after the commit',
      'delivered 1 documents, 1 deleted: SIIRAyS at 0/16B3748',
    ]);
  });

  it('are none for a changeset that only moves the position', () => {
    assert.deepEqual(printed({ ...DELIVERED, documents: 0 }), []);
  });

  it('show warnings and errors, but not what the Kafka client says of each retry', () => {
    assert.deepEqual(
      printed(
        { level: 'info', event: 'a', msg: 'quiet' },
        { level: 'warn', event: 'kafka_client', msg: 'retry' },
        { level: 'warn', event: 'b', msg: 'warned' },
        { level: 'error', event: 'c', msg: 'failed' },
      ),
      ['consumer: warned', 'consumer: failed'],
    );
  });

  it('show what is no log entry as it is', () => {
    assert.deepEqual(printed('Killed', '7'), ['consumer: Killed', 'consumer: 7']);
  });
});
