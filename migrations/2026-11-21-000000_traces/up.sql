-- What is known of evaluations: a cache, which may be dropped at any time. Columns named `blob` hold what `eval/stored` makes; they
-- are the last of their tables, so that a list of the rows never touches the pages of large ones. `bytes` is the length of the blob.

-- Evaluations of before are done again: what evaluates has changed, and so have their keys.
DROP TABLE evaluations;

-- An evaluation is in full, or the difference to its anchor, which is in full. Ids are never used again: a difference would otherwise
-- come to refer to a stranger.
CREATE TABLE evaluations (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- NULL: replaced by another of its key, and kept as the anchor of others
    key        TEXT UNIQUE,
    -- what the blob is sealed for: the key, also when it was replaced
    sealed_for TEXT NOT NULL,
    trace_key  TEXT NOT NULL,
    tree       TEXT NOT NULL,
    jobset     TEXT NOT NULL,
    system     TEXT NOT NULL,
    saved_at   BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    anchor     BIGINT REFERENCES evaluations (id),
    -- of what is in full: tells how like it another one is
    sketch     BLOB CHECK ((sketch IS NULL) = (anchor IS NOT NULL)),
    bytes      BIGINT NOT NULL,
    blob       BLOB NOT NULL
);
CREATE INDEX evaluations_by_trace_key ON evaluations (trace_key, saved_at);
CREATE INDEX evaluations_by_anchor ON evaluations (anchor, bytes);
-- all that collecting asks for
CREATE INDEX evaluations_by_use ON evaluations (used_at, anchor, bytes, key);

CREATE TABLE trace_sets (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    key      TEXT NOT NULL,
    tree     TEXT NOT NULL,
    jobset   TEXT NOT NULL,
    system   TEXT NOT NULL,
    attrs    BIGINT NOT NULL,
    untraced BIGINT NOT NULL,
    saved_at BIGINT NOT NULL,
    used_at  BIGINT NOT NULL,
    bytes    BIGINT NOT NULL,
    blob     BLOB NOT NULL,
    UNIQUE (key, tree)
);
CREATE INDEX trace_sets_by_use ON trace_sets (used_at, bytes);

-- An incremental evaluation that differed from the full one of the same tree. `review` is for people; an alarm outlives it.
CREATE TABLE eval_alarms (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at              BIGINT NOT NULL,
    trace_key       TEXT NOT NULL,
    tree            TEXT NOT NULL,
    jobset          TEXT NOT NULL,
    system          TEXT NOT NULL,
    review          TEXT,
    summary         TEXT NOT NULL,
    attrs           BIGINT NOT NULL,
    -- bytes: a path need not be text; NULL where both sides could not be kept
    kept            BLOB,
    acknowledged_at BIGINT
);
CREATE INDEX eval_alarms_open ON eval_alarms (id) WHERE acknowledged_at IS NULL;
