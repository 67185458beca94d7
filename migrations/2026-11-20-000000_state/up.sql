-- Times are milliseconds since the Unix epoch, UTC. Columns named `json` hold zstd-compressed JSON.

CREATE TABLE repositories (
    name        TEXT NOT NULL PRIMARY KEY,
    -- bytes: a path need not be text
    path        BLOB NOT NULL,
    base_branch TEXT NOT NULL,
    url         TEXT,
    read_at     BIGINT,
    error       TEXT
);

-- The number of a branch's pull request outlives the pull request, so that links stay true.
CREATE TABLE branch_numbers (
    repository TEXT NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    branch     TEXT NOT NULL,
    number     BIGINT NOT NULL,
    PRIMARY KEY (repository, branch),
    UNIQUE (repository, number)
) WITHOUT ROWID;

-- A one-shot review is of a repository and a pull request that are not stored: neither is a foreign key.
CREATE TABLE reviews (
    id            TEXT NOT NULL PRIMARY KEY,
    repository    TEXT NOT NULL,
    number        BIGINT,
    base_rev      TEXT NOT NULL,
    base_ref      TEXT,
    head_rev      TEXT NOT NULL,
    head_ref      TEXT,
    tree          TEXT,
    state         TEXT NOT NULL CHECK (state IN ('evaluating', 'building', 'complete', 'cancelled', 'error')),
    decision      TEXT NOT NULL CHECK (decision IN ('mergeable', 'blocked', 'pending')),
    -- of the verdict; in state 'error' why there is none
    summary       TEXT NOT NULL,
    rebuilds      BIGINT NOT NULL,
    newly_failing BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    superseded_by TEXT REFERENCES reviews (id) ON DELETE SET NULL
);
CREATE INDEX reviews_of_pull ON reviews (repository, number, created_at);
CREATE INDEX reviews_by_time ON reviews (created_at);
CREATE INDEX reviews_open ON reviews (created_at) WHERE state IN ('evaluating', 'building');
CREATE INDEX reviews_superseded ON reviews (superseded_by);

-- Apart from the reviews, so that a list of them never touches the pages of large reports.
CREATE TABLE reports (
    review TEXT NOT NULL PRIMARY KEY REFERENCES reviews (id) ON DELETE CASCADE,
    json   BLOB NOT NULL
);

CREATE TABLE pulls (
    repository  TEXT NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    number      BIGINT NOT NULL,
    title       TEXT NOT NULL,
    author      TEXT NOT NULL,
    branch      TEXT NOT NULL,
    head        TEXT NOT NULL,
    base_branch TEXT NOT NULL,
    base        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'merged', 'closed')),
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    additions   BIGINT NOT NULL,
    deletions   BIGINT NOT NULL,
    review      TEXT REFERENCES reviews (id) ON DELETE SET NULL,
    PRIMARY KEY (repository, number)
);
CREATE INDEX pulls_by_state ON pulls (state, updated_at);
CREATE INDEX pulls_review ON pulls (review);

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

CREATE TABLE outcomes (
    drv        TEXT NOT NULL PRIMARY KEY,
    outcome    TEXT NOT NULL,
    message    TEXT,
    at         BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX outcomes_by_expiry ON outcomes (expires_at);

-- `review` is for people; an attempt outlives the review that asked for it.
CREATE TABLE attempts (
    id                INTEGER NOT NULL PRIMARY KEY,
    drv               TEXT NOT NULL,
    base_name         TEXT NOT NULL,
    time              TEXT NOT NULL,
    builder           TEXT NOT NULL,
    review            TEXT,
    started_at        BIGINT NOT NULL,
    outcome           TEXT,
    seconds           DOUBLE,
    message           TEXT,
    cpu_seconds       DOUBLE,
    peak_memory_bytes BIGINT,
    UNIQUE (base_name, time)
);
CREATE INDEX attempts_unfinished ON attempts (id) WHERE outcome IS NULL;

-- What the scheduler expects of the next build of a package; kept apart so that it reads one row per package.
CREATE TABLE durations (
    pname   TEXT NOT NULL PRIMARY KEY,
    seconds DOUBLE NOT NULL,
    samples BIGINT NOT NULL
) WITHOUT ROWID;

-- Sums for the metrics, so that a scrape never walks the attempts.
CREATE TABLE outcome_sums (
    outcome  TEXT NOT NULL PRIMARY KEY,
    attempts BIGINT NOT NULL,
    seconds  DOUBLE NOT NULL
) WITHOUT ROWID;
