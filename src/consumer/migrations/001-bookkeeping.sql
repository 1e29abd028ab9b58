-- The bookkeeping of one connector's consumer, in schema "<connector>_sync" beside the replica ("<connector>") and the
-- staging copy ("<connector>_staging").
--
-- Who writes what: the apply transaction of the process that holds the token writes everything here, and ends with
-- UPDATE checkpoint ... WHERE token = mine (no row: roll back). Delivery writes document.accepted_*, document.etag,
-- outbox (deletes only), dead_letter and delivery in transactions of its own that end in the same way. Everybody else
-- (reconciler, replay of a dead letter) only inserts into mark.
-- Two writers meet in outbox: each takes LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE before it touches document,
-- outbox or dead_letter, so that they never wait for each other crosswise. Readers are not held up by that lock.

-- How far the replica is. One row; little fill, so that the frequent updates stay on its page (HOT).
CREATE TABLE :schema.checkpoint (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- The last applied unit of siirays.transaction: NULL while no full snapshot has begun.
  history integer,
  seq bigint,
  -- Exclusive end LSN and commit time of the last applied SIIRAyS commit.
  lsn pg_lsn,
  committed_at timestamptz,
  -- {topic: offset of the next message to read, as text}
  offsets jsonb NOT NULL DEFAULT '{}',
  applied_at timestamptz,
  -- The lease: a higher token takes over, renewals shows that its holder lives.
  token bigint NOT NULL DEFAULT 0,
  holder text,
  renewals bigint NOT NULL DEFAULT 0,
  -- The commit that document and outbox correspond to.
  projected_history integer,
  projected_seq bigint,
  projected_lsn pg_lsn,
  projected_committed_at timestamptz,
  projected_at timestamptz,
  -- A full snapshot asked for whose BEGIN has not come: the live replica is frozen, everything before it is dropped.
  request_id uuid,
  request_offsets jsonb,
  request_reason text,
  requested_at timestamptz,
  -- A full snapshot under way: changes go to the staging copy only, which is swapped in at its END.
  staging_id text,
  staging_tables text[],
  staging_begun_at timestamptz,
  -- END has come, but rows without a value for a placeholder are awaited still.
  staging_ended boolean NOT NULL DEFAULT false,
  -- Hash of the connector's compiled projection: where it differs, every document is projected again.
  projection_hash text,
  -- The counter above all versions: raised by delivery where it cannot prove that our versions are ahead.
  epoch integer NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO :schema.checkpoint DEFAULT VALUES;

-- The shape that each replica or staging table was made for.
CREATE TABLE :schema.replica_table (
  staging boolean NOT NULL,
  table_schema text NOT NULL,
  table_name text NOT NULL,
  -- {columns: [{name, type}], key: [place in columns, ...]}, types as SIIRAyS has them
  shape jsonb NOT NULL,
  fingerprint text NOT NULL,
  PRIMARY KEY (staging, table_schema, table_name)
);

-- Rows that came with a placeholder (unchanged TOASTed value) for which no value was there: asked for again.
CREATE TABLE :schema.incomplete (
  staging boolean NOT NULL,
  table_schema text NOT NULL,
  table_name text NOT NULL,
  key text[] NOT NULL,
  asked_at timestamptz,
  PRIMARY KEY (staging, table_schema, table_name, key)
);

-- Documents to be projected again; `forced`: even where the hash says that nothing has changed.
CREATE TABLE :schema.mark (
  id text PRIMARY KEY,
  forced boolean NOT NULL DEFAULT false
);

-- Versions of all documents, over all epochs.
CREATE SEQUENCE :schema.outbox_version AS bigint;

CREATE TABLE :schema.document (
  id text PRIMARY KEY,
  -- The newest projected version: SHA-256 of its JSON text (NULL where deleted).
  epoch integer NOT NULL,
  version bigint NOT NULL,
  hash bytea,
  deleted boolean NOT NULL,
  -- What FASTAAPS acknowledged last, and its etag (NULL for a tombstone).
  accepted_epoch integer,
  accepted_version bigint,
  etag text
) WITH (fillfactor = 80);

-- The newest ten versions of each document and the accepted one.
CREATE TABLE :schema.document_version (
  id text NOT NULL,
  epoch integer NOT NULL,
  version bigint NOT NULL,
  -- JSON text as it is sent; NULL: deleted.
  body text,
  history integer NOT NULL,
  seq bigint NOT NULL,
  lsn pg_lsn NOT NULL,
  projected_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, epoch, version)
);

-- What has to be sent still: the body is in document_version.
CREATE TABLE :schema.outbox (
  id text PRIMARY KEY,
  epoch integer NOT NULL,
  version bigint NOT NULL
);

-- Documents that were refused, by the connector's own schema before sending or by FASTAAPS (422).
CREATE TABLE :schema.dead_letter (
  id text PRIMARY KEY,
  epoch integer NOT NULL,
  version bigint NOT NULL,
  -- 'schema': a required field is missing (never sent); 'refused': FASTAAPS answered 422.
  reason text NOT NULL,
  -- The first field concerned, e.g. tuberias[2].localidad.
  path text,
  detail jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- Whether it stands in the topic of dead letters already.
  published boolean NOT NULL DEFAULT false
);

-- The newest changeset that FASTAAPS acknowledged.
CREATE TABLE :schema.delivery (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch integer,
  version bigint,
  history integer,
  seq bigint,
  lsn pg_lsn,
  committed_at timestamptz,
  delivered_at timestamptz
) WITH (fillfactor = 10);
INSERT INTO :schema.delivery DEFAULT VALUES;
