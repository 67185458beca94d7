ALTER TABLE reviews DROP COLUMN waits_since;
