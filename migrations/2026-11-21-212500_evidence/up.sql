-- What a review found besides its report, by part (`tree`, `closures`): JSON, zstd-compressed. Its pages need no store for it, which
-- may have forgotten everything meanwhile.
CREATE TABLE evidence (
    review TEXT NOT NULL REFERENCES reviews (id) ON DELETE CASCADE,
    part   TEXT NOT NULL,
    json   BLOB NOT NULL,
    PRIMARY KEY (review, part)
) WITHOUT ROWID;

-- How a derivation stood when a review last asked: also of what failed with a dependency, which is built never and remembered nowhere
-- else. `at`: milliseconds since the epoch.
CREATE TABLE standings (
    drv     TEXT NOT NULL PRIMARY KEY,
    outcome TEXT NOT NULL,
    at      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX standings_by_age ON standings (at);

-- The evaluations of one tree.
CREATE INDEX evaluations_by_tree ON evaluations (tree);
