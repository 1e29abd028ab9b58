-- The tables that the full snapshot asked for is to bring: where the connector has come to read others, it is asked anew.
ALTER TABLE :schema.checkpoint ADD COLUMN request_tables text[];
