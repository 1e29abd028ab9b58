/**
 * What the API takes and gives, in zod: requests are read by these schemas, and the OpenAPI description is made of all of
 * them. Tests hold every real answer against that.
 */
import { z } from 'zod';

/** Schemas that the description names: under #/components/schemas. */
export const NAMED = z.registry<{ id: string }>();

function named<T extends z.ZodType>(id: string, schema: T): T {
  NAMED.add(schema, { id });
  return schema;
}

const time = z.string().meta({ format: 'date-time', description: 'ISO 8601, UTC' });
const decimal = z.string().regex(/^\d+$/);
const count = z.int().min(0);
const lsn = z.string().meta({ description: 'A position in SIIRAyS, X/Y', examples: ['0/16B3748'] });
const runId = z.string().meta({ format: 'uuid' });
const url = z.string().meta({ format: 'uri-reference' });

const mode = z.enum(['verify', 'repair', 'restore']);
const trigger = z.enum(['http', 'cli', 'schedule']);
const runState = z.enum([
  'queued',
  'running',
  'interrupted',
  'equal',
  'repaired',
  'differences',
  'undecided',
  'cancelled',
  'failed',
]);
const differenceKind = z.enum(['row', 'projection', 'undelivered', 'document', 'dead_letter']);

export const problem = named(
  'Problem',
  z
    .looseObject({
      type: z.string().meta({ format: 'uri-reference' }),
      title: z.string(),
      status: z.int(),
      detail: z.string(),
      errors: z
        .array(
          z.strictObject({
            pointer: z.string().optional().meta({ description: 'JSON Pointer into the body' }),
            parameter: z.string().optional(),
            detail: z.string(),
          }),
        )
        .optional()
        .meta({ description: 'Every mistake of the request' }),
    })
    .meta({ description: 'Problem details (RFC 9457)' }),
);

const runOptions = z.strictObject({
  mode,
  direct: z.boolean(),
  connectors: z.array(z.string()).min(1),
  ids: z.array(z.string()).nullable(),
  tables: z.array(z.string()).nullable(),
  target: z.string().nullable(),
  stopAfter: z.int().nullable(),
  maxTimeMs: z.number().nullable(),
});

const counts = z.partialRecord(differenceKind, count).meta({ description: 'Differences by kind' });

export const run = named(
  'Run',
  z.strictObject({
    id: runId,
    url,
    state: runState,
    ended: z.boolean(),
    options: runOptions,
    asker: z.strictObject({ trigger, name: z.string() }),
    progress: z.strictObject({
      phase: z.enum(['waiting', 'rows', 'documents', 'direct', 'restore', 'settling', 'repairing', 'done']),
      connector: z.string().nullable(),
      table: z.string().nullable(),
      rows: count,
      rowsTotal: count,
      documents: count,
      documentsTotal: count,
    }),
    found: counts,
    repaired: counts,
    left: counts,
    incomplete: z.array(z.string()).meta({
      description:
        'Connectors of which something was left undecided: it kept changing, was passed over, or was not looked at. ' +
        'For them the run is no proof, whatever its state. All of them until the run has ended with a result',
    }),
    unknown: z.array(z.string()).meta({
      description:
        'Ids asked for that no side knows, up to 1,000: nothing was proven of them, and the run is undecided',
    }),
    resumes: runId.nullable(),
    resumedBy: runId.nullable(),
    history: z.int().nullable(),
    lsn: lsn.nullable(),
    requestedAt: time,
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    notes: z.array(z.string()),
    error: z.strictObject({ message: z.string(), stack: z.string().nullable() }).nullable(),
  }),
);

export const runPage = named(
  'RunPage',
  z.strictObject({
    runs: z.array(run),
    next: z.string().nullable().meta({ description: 'For `before`; null: no more' }),
  }),
);

export const difference = named(
  'Difference',
  z.strictObject({
    place: z.int().meta({ description: 'Its place in the run, for `after`' }),
    connector: z.string(),
    kind: differenceKind,
    table: z.string().nullable(),
    key: z.record(z.string(), z.string()).nullable(),
    documents: z.array(z.string()),
    path: z.string().nullable(),
    expected: z.string().nullable(),
    actual: z.string().nullable(),
    wrong: z.enum(['replica', 'sync', 'fastaaps']),
    since: z.string().nullable(),
    outcome: z.enum(['found', 'repaired', 'left', 'asked']).meta({
      description: 'asked: a repair was asked for, and was not seen to arrive before the run ended',
    }),
    reason: z.string().nullable(),
  }),
);

export const differencePage = named(
  'DifferencePage',
  z.strictObject({ differences: z.array(difference), next: z.int().nullable() }),
);

const commitAt = { history: z.int(), seq: decimal, lsn, committedAt: time.nullable() };

export const proofAge = named(
  'ProofAge',
  z.strictObject({
    oldest: time.nullable().meta({ description: 'When the document proven longest ago was proven equal' }),
    newest: time.nullable(),
    documents: count.meta({ description: 'How many documents have been proven' }),
  }),
);

const connectorState = {
  name: z.string(),
  state: z.enum(['absent', 'paused', 'awaiting', 'loading', 'following']),
  paused: z.boolean(),
  reason: z.string().nullable(),
  holder: z.string().nullable(),
  position: z.strictObject({ ...commitAt, appliedAt: time.nullable() }).nullable(),
  delivered: z.strictObject({ ...commitAt, deliveredAt: time.nullable() }).nullable(),
  pending: count.meta({ description: 'Documents that wait to be sent, counted up to 100,000' }),
  lagMs: z.number().nullable().meta({
    description: 'How long the oldest of what is applied has waited for FASTAAPS to show it; 0: nothing waits',
  }),
  deadLetters: z.strictObject({ open: count, discarded: count }).meta({ description: 'Counted up to 100,000' }),
};

export const connector = named(
  'Connector',
  z.strictObject({
    ...connectorState,
    target: z.strictObject({ path: z.string(), tag: z.string(), adapter: z.enum(['changes', 'restore']) }),
    root: z.string(),
    tables: z.array(z.string()),
  }),
);

export const connectorList = named('ConnectorList', z.strictObject({ connectors: z.array(connector) }));

const scheduled = z.strictObject({ name: z.string(), cron: z.string(), timezone: z.string(), at: time.nullable() });

export const status = named(
  'Status',
  z.strictObject({
    connectors: z.array(
      z.strictObject({
        ...connectorState,
        running: run.nullable().meta({ description: 'The run that holds the connector' }),
        lastSuccessAt: time.nullable().meta({
          description: 'When a run over all of the connector last ended equal or repaired',
        }),
        lastVerdictAt: time.nullable().meta({
          description:
            'When a run over all of the connector last decided everything about it: equal, repaired, or differences that are named. ' +
            'The alarm about an overdue proof goes by this',
        }),
        proof: proofAge,
      }),
    ),
    scheduled: z.array(scheduled),
  }),
);

const versionNumber = z.strictObject({ epoch: z.int(), version: decimal });

const deadLetterReason = z.enum(['schema', 'refused']).meta({
  description: 'schema: a required field is missing, so it was never sent; refused: FASTAAPS answered 422',
});

export const deadLetter = named(
  'DeadLetter',
  z.strictObject({
    id: z.string(),
    epoch: z.int(),
    version: decimal,
    reason: deadLetterReason,
    path: z.string().nullable(),
    detail: z.unknown(),
    createdAt: time,
    discardedAt: time.nullable(),
    discardedBy: z.string().nullable(),
    replaying: z.boolean().meta({ description: 'A new version is being made' }),
  }),
);

export const deadLetterWithRows = named(
  'DeadLetterWithRows',
  deadLetter.safeExtend({
    rows: z
      .array(
        z.strictObject({
          table: z.string().meta({ examples: ['public.tuberia_red'] }),
          key: z.record(z.string(), z.string().nullable()),
        }),
      )
      .nullable()
      .meta({
        description:
          'Rows of SIIRAyS, by key, that the refused part of the document is made of: at most 50 of each table; null before the first load',
      }),
  }),
);

export const deadLetterPage = named(
  'DeadLetterPage',
  z.strictObject({ connector: z.string(), deadLetters: z.array(deadLetter), next: z.string().nullable() }),
);

export const replayed = named('Replayed', z.strictObject({ connector: z.string(), replayed: count }));

export const documentState = named(
  'DocumentState',
  z.strictObject({
    connector: z.string(),
    id: z.string(),
    deleted: z.boolean(),
    newest: versionNumber,
    accepted: versionNumber.nullable(),
    etag: z.string().nullable(),
    pending: z.boolean(),
    deadLetter: deadLetter.nullable(),
    proof: z.strictObject({ at: time, run: runId }).nullable(),
  }),
);

export const documentVersions = named(
  'DocumentVersions',
  z.strictObject({
    connector: z.string(),
    id: z.string(),
    versions: z.array(
      z.strictObject({
        epoch: z.int(),
        version: decimal,
        history: z.int(),
        seq: decimal,
        lsn,
        projectedAt: time,
        deleted: z.boolean(),
        body: z.unknown().meta({ description: 'The document as it is sent, digit by digit; null where deleted' }),
      }),
    ),
  }),
);

const shows = z.strictObject({ history: z.int(), lsn }).nullable();

export const shown = named(
  'Shown',
  z.strictObject({ connector: z.string(), shown: z.literal(true), history: z.int(), lsn, shows }),
);

export const auditEntry = named(
  'AuditEntry',
  z.strictObject({
    id: z.int(),
    at: time,
    actor: z.string(),
    role: z.string(),
    action: z.string(),
    object: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
  }),
);

export const auditPage = named(
  'AuditPage',
  z.strictObject({ entries: z.array(auditEntry), next: z.string().nullable() }),
);

export const conflict = named(
  'RunConflict',
  problem.safeExtend({ running: url.meta({ description: 'The run that is under way' }) }),
);

export const notShown = named('NotShown', problem.safeExtend({ history: z.int().nullable(), lsn, shows }));

/* Requests. */

const tag = z.string().regex(/^[A-Za-z0-9_-]{1,63}$/, 'expected 1 to 63 letters, digits, hyphens or underscores');

/** POST /reconciliations. */
export const runRequest = named(
  'RunRequest',
  z.strictObject({
    mode: mode.optional().meta({ description: 'Default: repair' }),
    direct: z.boolean().optional().meta({ description: 'Compare SIIRAyS itself with FASTAAPS' }),
    connector: z
      .union([z.string(), z.array(z.string()).min(1)], 'expected a name or a list of names')
      .optional()
      .meta({ description: 'Default: all of them' }),
    ids: z
      .array(z.union([z.string(), z.int()], 'expected an id: a string or a whole number'))
      .min(1)
      .optional()
      .meta({ description: 'Only these documents' }),
    tables: z.array(z.string()).min(1).optional().meta({ description: 'Only rows of these tables, e.g. public.epsa' }),
    target: tag.optional().meta({ description: 'The db_tag that mode restore replaces' }),
    stopAfter: z.int().min(1).optional().meta({ description: 'End after so many differences' }),
    maxTime: z
      .union([z.string(), z.number()], 'expected seconds, or a duration such as 10m')
      .optional()
      .meta({ description: 'End, undecided about the rest, after so long: seconds, or a duration such as 10m' }),
    resume: z
      .string()
      .optional()
      .meta({ description: 'Go on with this run; its options hold, so nothing else is given' }),
  }),
);

function wholeNumber(least: number, most: number) {
  const expected = `expected a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, expected)
    .transform(Number)
    .pipe(z.int(expected).min(least, expected).max(most, expected));
}

const limit = wholeNumber(1, 1_000).optional().meta({ description: 'How many at most; default 100' });
const connectorName = z.string().optional().meta({ description: 'Default: the first connector' });

export const connectorQuery = z.strictObject({ connector: connectorName });

export const runsQuery = z.strictObject({
  state: runState.optional(),
  mode: mode.optional(),
  connector: z.string().optional(),
  trigger: trigger.optional(),
  limit,
  before: z.string().max(500).optional().meta({ description: '`next` of the page before' }),
});

export const differencesQuery = z.strictObject({
  kind: differenceKind.optional(),
  after: wholeNumber(0, 2_147_483_647).optional().meta({ description: '`next` of the page before' }),
  limit,
});

export const positionQuery = z.strictObject({
  connector: connectorName,
  timeout: z
    .string()
    .regex(/^\d{1,4}(\.\d{1,3})?$/, 'expected seconds from 0 to 60')
    .transform(Number)
    .pipe(z.number().min(0).max(60, 'expected seconds from 0 to 60'))
    .optional()
    .meta({ description: 'How many seconds to wait at most; default 10' }),
});

export const deadLettersQuery = z.strictObject({
  connector: connectorName,
  discarded: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .pipe(z.boolean())
    .optional()
    .meta({ description: 'Only those set aside, or only the others' }),
  reason: deadLetterReason.optional(),
  since: z.iso
    .datetime({ offset: true, error: 'expected a time such as 2026-11-25T09:00:00Z' })
    .optional()
    .meta({ description: 'Not older than this' }),
  after: z.string().optional().meta({ description: '`next` of the page before' }),
  limit,
});

export const auditQuery = z.strictObject({
  limit,
  before: z.string().max(500).optional().meta({ description: '`next` of the page before' }),
});

export const noQuery = z.strictObject({});
