-- What people do with a connector: pause it, and set dead letters aside.

-- Paused: nothing is read from the topics and nothing is delivered until it is resumed.
ALTER TABLE :schema.checkpoint ADD COLUMN paused boolean NOT NULL DEFAULT false;

-- Set aside: known and accepted as it is. A newer version of the document supersedes that, too.
ALTER TABLE :schema.dead_letter ADD COLUMN discarded_at timestamptz, ADD COLUMN discarded_by text;
