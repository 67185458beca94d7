-- Merges that somebody asked for, of one head each: carried out when the review of that very head says that it is mergeable, given up when
-- the head moves. The last one of each pull request is kept, so that its page can say what became of it.
CREATE TABLE merges (
    -- GitHub's numbers
    repository BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    head       TEXT NOT NULL,
    -- NULL: as the repository allows.
    method     TEXT CHECK (method IN ('merge', 'squash', 'rebase')),
    by_id      BIGINT NOT NULL,
    by_login   TEXT NOT NULL,
    -- The comment that asked for it; an order that is repeated is the same one.
    comment    BIGINT,
    asked_at   BIGINT NOT NULL,
    -- 'merging': it was asked of GitHub, and the answer was not heard yet.
    state      TEXT NOT NULL CHECK (state IN ('waits', 'merging', 'merged', 'dropped')),
    -- Why it was dropped.
    sentence   TEXT,
    -- Whether who asked knows how it ended.
    told       BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (repository, number)
) WITHOUT ROWID;
CREATE INDEX merges_to_do ON merges (repository) WHERE NOT told;
