-- Pull requests on GitHub whose labels follow their reviews. Which labels those are is worked out when they are put on.
CREATE TABLE labelled_pulls (
    -- GitHub's numbers
    repository  BIGINT NOT NULL REFERENCES github_repositories (id) ON DELETE CASCADE,
    number      BIGINT NOT NULL,
    -- JSON: those that were put on last; NULL: none yet.
    told        TEXT,
    -- Since when they may be others; NULL: they are not.
    stale_since BIGINT,
    PRIMARY KEY (repository, number)
) WITHOUT ROWID;
CREATE INDEX labelled_pulls_stale ON labelled_pulls (repository) WHERE stale_since IS NOT NULL;
