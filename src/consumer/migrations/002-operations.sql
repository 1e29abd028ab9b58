-- What people do with a connector: pause it, and set dead letters aside.

-- Paused: nothing is read from the topics and nothing is delivered until it is resumed.
ALTER TABLE :schema.checkpoint ADD COLUMN paused boolean NOT NULL DEFAULT false;

-- Set aside: known and accepted as it is. A newer version of the document supersedes that, too.
ALTER TABLE :schema.dead_letter ADD COLUMN discarded_at timestamptz, ADD COLUMN discarded_by text;

-- When FASTAAPS acknowledged the first changeset: a fresh first load counts as a reconciliation.
ALTER TABLE :schema.delivery ADD COLUMN first_delivered_at timestamptz;
UPDATE :schema.delivery SET first_delivered_at = delivered_at;
