-- Reviews that relied on what an alarm is about, and those that take their place.
CREATE TABLE alarmed_reviews (
    review TEXT NOT NULL REFERENCES reviews (id) ON DELETE CASCADE,
    alarm  BIGINT NOT NULL REFERENCES eval_alarms (id) ON DELETE CASCADE,
    PRIMARY KEY (review, alarm)
) WITHOUT ROWID;
CREATE INDEX alarmed_reviews_by_alarm ON alarmed_reviews (alarm);

-- When the last review that relied on it had been begun again; until then there is something left to do.
ALTER TABLE eval_alarms ADD COLUMN settled_at BIGINT;
