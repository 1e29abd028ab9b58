/** What goes wrong around the pipeline is said plainly, retried, and loses nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import kafkajs from 'kafkajs';
import { CliProcess, type LogLine } from '../support/cli-process.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';

// CommonJS whose enumerations cannot be imported by name.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } = kafkajs;

/** Whoever is not refused something may do it. */
const ACLS = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'allow.everyone.if.no.acl.found': 'true',
};
const pipeline = await RunningPipeline.start({
  epsas: 60,
  settings: { producer: FAST(), consumer: FAST() },
  kafkaSettings: ACLS,
});
const { stack, siirays } = pipeline;

/** Back-off that suits a test. */
function FAST(): Record<string, string> {
  return { RETRY_MIN: '50ms', RETRY_MAX: '500ms' };
}

function wrongPassword(url: string): string {
  const changed = new URL(url);
  changed.password = 'wrong';
  return changed.href;
}

let counter = 0;
/** A change in SIIRAyS while something is wrong: it must arrive when that is over. */
async function change(): Promise<void> {
  await siirays.query(`UPDATE epsa SET web = $1`, [`cambio ${++counter}`]);
}

/** Runs the stack's producer or consumer with changed settings in its place, until it has said what is wrong. */
async function instead(
  name: 'producer' | 'consumer',
  settings: Record<string, string>,
  says: (line: LogLine) => boolean,
): Promise<LogLine> {
  await stack.part(name).stop();
  const wrong = new CliProcess([name], { ...stack.environment(name), ...settings });
  await change();
  const line = await wrong.untilLine(says, `${name} to say what is wrong`);
  // It goes on trying.
  await wrong.untilLine((again) => says(again) && again !== line, `${name} to try again`);
  await wrong.stop();
  for (const { msg } of wrong.lines) assert.doesNotMatch(msg, /postgres:\/\/[^ ]*:[^*]+@/, 'no secret in the log');
  await stack.start(name);
  return line;
}

const failed = (pattern: RegExp) => (line: LogLine) => line.event === 'pipeline_failed' && pattern.test(line.msg);

describe('what goes wrong around the pipeline', { timeout: 280_000 }, () => {
  test('SIIRAyS refuses the password', async () => {
    const url = stack.environment('producer').SIIRAYS_URL!;
    const line = await instead(
      'producer',
      { SIIRAYS_URL: wrongPassword(url) },
      failed(/password authentication failed/),
    );
    assert.match(line.msg, /SIIRAYS_URL/);
    await pipeline.assertEqual('after the right password');
  });

  test('nobody listens where SIIRAyS, Kafka, the registry or sync should be', async () => {
    const nowhere = 'postgres://u:p@127.0.0.1:1/x';
    await instead(
      'producer',
      { SIIRAYS_URL: nowhere, SIIRAYS_READ_URL: nowhere },
      failed(/127\.0\.0\.1:1.*nobody listens/),
    );
    await instead('producer', { REGISTRY_URL: 'http://127.0.0.1:1/x' }, failed(/127\.0\.0\.1:1|registry/i));
    await instead('producer', { KAFKA_BROKERS: '127.0.0.1:1' }, failed(/127\.0\.0\.1:1/));
    await instead('consumer', { SYNC_URL: nowhere }, failed(/127\.0\.0\.1:1.*nobody listens/));
    await pipeline.assertEqual('after the right addresses');
  });

  test('Kafka refuses a right on a topic', async () => {
    const admin = new Kafka({ brokers: [stack.endpoints.kafka], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const refused = {
      ...{ resourceType: AclResourceTypes.TOPIC, resourceName: 'siirays.transaction' },
      ...{ resourcePatternType: ResourcePatternTypes.LITERAL, principal: 'User:ANONYMOUS', host: '*' },
      permissionType: AclPermissionTypes.DENY,
    };
    try {
      for (const [name, operation] of [
        ['producer', AclOperationTypes.WRITE],
        ['consumer', AclOperationTypes.READ],
      ] as const) {
        await admin.createAcls({ acl: [{ ...refused, operation }] });
        const line = await instead(name, {}, failed(/not authorized/i));
        assert.match(line.msg, /KAFKA_TOPIC_PREFIX/, 'it says which rights are needed');
        await admin.deleteAcls({ filters: [{ ...refused, operation }] });
      }
    } finally {
      await admin.disconnect();
    }
    await pipeline.assertEqual('with the right');
  });

  test('FASTAAPS refuses the password: alarmed and not ready, then delivered', async () => {
    const line = await instead('consumer', { FASTAAPS_PASSWORD: 'wrong' }, (one) => /401/.test(one.msg));
    assert.match(line.msg, /FASTAAPS_PASSWORD/);
    await pipeline.assertEqual('after the right password');
  });

  test('SIIRAyS lacks things: one message names each, with the SQL that cures it', async () => {
    await stack.part('producer').stop();
    await siirays.query(`ALTER PUBLICATION siirays_sync DROP TABLE rar, sector; ALTER TABLE sistema_ap REPLICA IDENTITY NOTHING;
      REVOKE SELECT ON localidad FROM siirays_sync`);
    const producer = new CliProcess(['producer'], { ...stack.environment('producer') });
    const line = await producer.untilLine((one) => one.event === 'source_lacks_tables', 'the list of problems');
    const problems = line.problems as { what: string; cure: string }[];
    const about = problems.map(({ what }) => /public\.(\w+)/.exec(what)?.[1]).sort();
    assert.deepEqual(about, ['localidad', 'rar', 'sector', 'sistema_ap'], line.msg);
    for (const { what, cure } of problems) assert.ok(line.msg.includes(what) && line.msg.includes(cure));
    for (const { cure } of problems) await siirays.query(cure);
    await producer.untilLine((one) => one.event === 'stream_started', 'the cured producer to stream');
    await producer.stop();
    await stack.start('producer');
    await change();
    await pipeline.assertEqual('after the cure');
  });

  test('a configuration with several mistakes: all at once, exit code 78', async () => {
    const process_ = new CliProcess(['consumer'], {
      ...stack.environment('consumer'),
      KAFKA_BROKERS: 'no port',
      RETRY_MAX: 'soon',
      CONNECTOR: 'epsas',
    });
    assert.equal(await process_.exitCode(), 78);
    const said = process_.text + process_.lines.map(({ msg }) => msg).join('\n');
    for (const variable of ['KAFKA_BROKERS', 'RETRY_MAX']) assert.match(said, new RegExp(variable));
  });
});
