import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pg from 'pg';
import { createLogger } from '../../src/logging/logger.ts';

/** Logs what `write` logs and gives the lines, parsed and as text. */
function logged(write: (log: ReturnType<typeof createLogger>) => void, level = 'info') {
  const lines: string[] = [];
  write(createLogger({ name: 'producer', level, destination: { write: (line: string) => void lines.push(line) } }));
  return { text: lines.join(''), records: lines.map((line) => JSON.parse(line)) };
}

describe('logger', () => {
  it('writes one JSON object a line with level, ISO time, process and event', () => {
    const { records } = logged((log) => log.info({ event: 'batch_applied', lsn: '0/16B3748' }, 'applied'));
    const { time, pid, ...rest } = records[0];
    assert.deepEqual(rest, {
      level: 'info',
      name: 'producer',
      event: 'batch_applied',
      lsn: '0/16B3748',
      msg: 'applied',
    });
    assert.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.equal(pid, process.pid);
  });

  it('keeps to its level', () => {
    assert.equal(logged((log) => log.info('x'), 'warn').text, '');
  });

  it('redacts secrets by key', () => {
    const { text } = logged((log) =>
      log.info({
        password: 's3cret',
        kafka: { sasl: { mechanism: 'plain', password: 's3cret' } },
        fastaaps: { token: 's3cret' },
        headers: { authorization: 's3cret' },
        config: { http: { metricsPassword: 's3cret' } },
      }),
    );
    assert.ok(!text.includes('s3cret'));
  });

  it('redacts the passwords of URLs anywhere, messages of errors included', () => {
    const url = 'postgres://sync:s3cr%40et@db:5432/x';
    const { text } = logged((log) => {
      log.error(
        { err: new Error(`cannot reach ${url}`), url, list: [`http://u:s3cret@host/`] },
        `no answer from ${url}`,
      );
      log.info('postgres://db/x?user=u&password=s3cret&sslmode=require');
    });
    assert.ok(!text.includes('s3cr'), text);
    assert.ok(text.includes('postgres://sync:[redacted]@db:5432/x'));
    assert.ok(text.includes('password=[redacted]&sslmode=require'));
  });

  it("leaves out what PostgreSQL's errors say of rows", () => {
    const error = Object.assign(
      new pg.DatabaseError('invalid input syntax for type integer: "Juan Mamani"', 0, 'error'),
      {
        code: '22P02',
        detail: 'Key (nombre)=(Juan Mamani) already exists.',
        where: "unnamed portal parameter $1 = 'Juan Mamani'",
        table: 'representante',
      },
    );
    const { text, records } = logged((log) => log.error({ err: new Error('apply failed', { cause: error }) }));
    assert.ok(!text.includes('Mamani'), text);
    assert.equal(records[0].err.cause.code, '22P02');
    assert.equal(records[0].err.cause.table, 'representante');
    assert.match(records[0].err.cause.message, /invalid input syntax for type integer/);
  });
});
