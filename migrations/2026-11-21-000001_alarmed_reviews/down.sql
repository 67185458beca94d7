ALTER TABLE eval_alarms DROP COLUMN settled_at;
DROP TABLE alarmed_reviews;
