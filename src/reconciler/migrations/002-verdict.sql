-- What a run did not decide, and what was met without being proven.

-- Connectors of which something was left undecided; NULL: nobody has said, so nothing of the run is a proof.
ALTER TABLE :schema.run ADD COLUMN incomplete text[];
-- Ids asked for that are on no side.
ALTER TABLE :schema.run ADD COLUMN unknown_ids text[] NOT NULL DEFAULT '{}';
-- Of the runs before, those that had something to note may have left something undecided.
UPDATE :schema.run SET incomplete = '{}'
WHERE state IN ('equal', 'repaired') OR (state = 'differences' AND notes = '{}');

-- When a run last met the document and did not prove it; NULL: never.
ALTER TABLE :schema.proof ADD COLUMN met_at timestamptz;
