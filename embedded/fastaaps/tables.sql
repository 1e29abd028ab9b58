-- One row per document of every collection and tag; `document` is NULL where the document was deleted (a tombstone).
-- A whole number as id sorts as a number and comes before other ids, which sort by their bytes.
CREATE TABLE IF NOT EXISTS document (
  collection text COLLATE "C" NOT NULL,
  db_tag text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  id_number numeric GENERATED ALWAYS AS (CASE WHEN id ~ '^(0|-?[1-9][0-9]*)$' THEN id::numeric END) STORED,
  epoch integer NOT NULL DEFAULT 0,
  version numeric NOT NULL DEFAULT 0,
  document jsonb,
  -- Made by the database from what is stored, so that content altered behind the service's back shows.
  etag text GENERATED ALWAYS AS (md5(document::text)) STORED,
  -- The order in which the rows of a restored set came.
  arrival bigint GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (collection, db_tag, id)
);
CREATE INDEX IF NOT EXISTS document_order ON document (collection, db_tag, id_number, id);

-- The newest changeset that each set holds.
CREATE TABLE IF NOT EXISTS changeset_position (
  collection text COLLATE "C" NOT NULL,
  db_tag text COLLATE "C" NOT NULL,
  source text NOT NULL,
  epoch integer NOT NULL,
  version numeric NOT NULL,
  history integer NOT NULL,
  seq numeric NOT NULL,
  lsn text NOT NULL,
  PRIMARY KEY (collection, db_tag)
);
