import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';

const CLI = join(import.meta.dirname, '../../src/cli.ts');
const folder = tempDir('cli');
after(() => folder.remove());

function run(arguments_: string[], env: Record<string, string> = {}) {
  const options = { cwd: folder.path, env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' as const };
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...arguments_], options);
  return { status, stdout, stderr };
}

describe('command line', () => {
  it('shows help with examples and exit codes', () => {
    const { status, stdout } = run(['--help']);
    assert.equal(status, 0);
    for (const part of ['producer', 'consumer', 'connector', 'Examples:', 'Exit codes:', '78']) {
      assert.ok(stdout.includes(part), part);
    }
    for (const command of [
      ['producer'],
      ['consumer'],
      ['connector', 'validate'],
      ['connector', 'schema'],
      ['dead-letters', 'list'],
      ['dead-letters', 'replay'],
    ]) {
      const help = run([...command, '--help']);
      assert.equal(help.status, 0);
      assert.match(help.stdout, /Examples?:\n/);
    }
  });

  it('ends with 64 on a wrong command line and names the nearest command', () => {
    const { status, stderr } = run(['prodcer']);
    assert.equal(status, 64);
    assert.match(stderr, /Did you mean producer\?/);
    assert.equal(run([]).status, 64);
    assert.equal(run(['producer', '--fast']).status, 64);
  });

  it('ends with 78 and every mistake of the configuration', () => {
    const { status, stderr } = run(['consumer'], { KAFKA_BROKERS: 'x', KAFKA_BROKER: 'y', FASTAAPS_URL: 'http://f' });
    assert.equal(status, 78);
    for (const line of [
      /SYNC_URL: got nothing/,
      /KAFKA_BROKERS: got "x"/,
      /REGISTRY_URL: got nothing/,
      /KAFKA_BROKER is/,
    ]) {
      assert.match(stderr, line);
    }
  });

  it('prints the JSON Schema of connectors', () => {
    const { status, stdout } = run(['connector', 'schema']);
    assert.equal(status, 0);
    assert.equal(JSON.parse(stdout).$schema, 'https://json-schema.org/draft/2020-12/schema');
  });

  it('checks the connectors', () => {
    const { status, stdout } = run(['connector', 'validate', join(import.meta.dirname, '../../connectors')]);
    assert.equal(status, 0);
    assert.match(stdout, /^epsa: right; \d+ tables -> \/registro, db_tag sync, adapter changes$/m);
    const broken = join(folder.path, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'epsa.yaml'), 'source: {kind: postgre}\n');
    const wrong = run(['connector', 'validate', broken]);
    assert.equal(wrong.status, 78);
    assert.match(wrong.stderr, /epsa\.yaml:1:/);
  });
});
