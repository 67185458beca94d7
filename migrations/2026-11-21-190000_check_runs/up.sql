-- Check runs on GitHub, each to be made what the database says of its review. What they are to say is not kept: it is worked out when it is
-- sent, so that the newest state is what arrives, however many there were on the way.
CREATE TABLE check_runs (
    -- GitHub's number
    repository  BIGINT NOT NULL REFERENCES github_repositories (id) ON DELETE CASCADE,
    head        TEXT NOT NULL,
    name        TEXT NOT NULL,
    review      TEXT NOT NULL,
    -- The attribute, where it is about one.
    attr        TEXT,
    -- GitHub's number; NULL: it is not there yet, or the answer that names it was lost.
    remote      BIGINT,
    -- What it said when it was last sent, as a hash; NULL: never. An empty one: it was being sent, and how that ended was not heard.
    told        TEXT,
    -- Since when it may say something else; NULL: it says what it should.
    stale_since BIGINT,
    PRIMARY KEY (repository, head, name)
) WITHOUT ROWID;
CREATE INDEX check_runs_stale ON check_runs (repository, stale_since) WHERE stale_since IS NOT NULL;
CREATE INDEX check_runs_by_review ON check_runs (review);
