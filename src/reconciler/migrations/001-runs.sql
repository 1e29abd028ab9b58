-- The history of reconciliations, in a schema of its own in the sync database. The process that runs a reconciliation
-- writes its row and differences; everybody reads. A run that holds a connector has its name in lease.

CREATE TABLE :schema.run (
  id uuid PRIMARY KEY,
  -- RunOptions, Asker, Progress, Counts: src/reconciler/types.ts
  mode text NOT NULL,
  options jsonb NOT NULL,
  connectors text[] NOT NULL,
  trigger text NOT NULL,
  asked_by text NOT NULL,
  idempotency_key text UNIQUE,
  state text NOT NULL,
  progress jsonb NOT NULL,
  cursor jsonb,
  found jsonb NOT NULL DEFAULT '{}',
  repaired jsonb NOT NULL DEFAULT '{}',
  left_over jsonb NOT NULL DEFAULT '{}',
  differences_kept integer NOT NULL DEFAULT 0,
  notes text[] NOT NULL DEFAULT '{}',
  resumes uuid,
  resumed_by uuid,
  history integer,
  lsn pg_lsn,
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz,
  error_message text,
  error_stack text,
  -- Who runs it, and when it last said so: what is silent for too long was killed. Only the execution named here may
  -- write: whoever takes a silent run's connectors ends that run first.
  instance text,
  execution uuid,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  cancelled_by text
) WITH (fillfactor = 50);
CREATE INDEX ON :schema.run (requested_at DESC, id DESC);
CREATE INDEX ON :schema.run (state) WHERE state IN ('queued', 'running');

CREATE TABLE :schema.difference (
  run uuid NOT NULL REFERENCES :schema.run ON DELETE CASCADE,
  place integer NOT NULL,
  connector text NOT NULL,
  kind text NOT NULL,
  outcome text NOT NULL,
  -- Difference, whole
  content jsonb NOT NULL,
  PRIMARY KEY (run, place)
);

-- Which run holds a connector. A lease whose run has been silent for too long is taken over.
CREATE TABLE :schema.lease (
  connector text PRIMARY KEY,
  run uuid NOT NULL REFERENCES :schema.run ON DELETE CASCADE
);
CREATE INDEX ON :schema.lease (run);

-- What has become of each plan's times, for what was missed; and who plans.
CREATE TABLE :schema.schedule (
  name text PRIMARY KEY,
  -- Other words mean other times: those before the change are not made up.
  cron text NOT NULL,
  timezone text NOT NULL,
  -- Planned times up to this one are done with.
  handled_at timestamptz NOT NULL,
  -- The planned time that is due, the plan's newest run before it, and how often it was tried.
  due_at timestamptz,
  run_before uuid,
  attempts integer NOT NULL DEFAULT 0
);
CREATE TABLE :schema.leader (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- A higher token takes over, renewals shows that its holder lives.
  token bigint NOT NULL DEFAULT 0,
  holder text,
  renewals bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO :schema.leader DEFAULT VALUES;

-- What people did.
CREATE TABLE :schema.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  role text NOT NULL,
  action text NOT NULL,
  object text,
  detail jsonb NOT NULL DEFAULT '{}'
);

-- When each document was last proven equal, by the newest run that looked at it.
CREATE TABLE :schema.proof (
  connector text NOT NULL,
  id text NOT NULL,
  proven_at timestamptz NOT NULL,
  run uuid NOT NULL,
  PRIMARY KEY (connector, id)
) WITH (fillfactor = 80);
