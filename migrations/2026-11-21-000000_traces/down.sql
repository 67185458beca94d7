DROP TABLE eval_alarms;
DROP TABLE trace_sets;
DROP TABLE evaluations;

CREATE TABLE evaluations (
    key      TEXT NOT NULL PRIMARY KEY,
    tree     TEXT NOT NULL,
    jobset   TEXT NOT NULL,
    system   TEXT NOT NULL,
    saved_at BIGINT NOT NULL,
    used_at  BIGINT NOT NULL,
    json     BLOB NOT NULL
);
CREATE INDEX evaluations_by_use ON evaluations (used_at);
