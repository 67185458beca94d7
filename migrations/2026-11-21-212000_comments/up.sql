-- New comments to pull requests on GitHub, each carried out and answered once, whatever happens in between. The row is stored with the
-- delivery; each step is in it before the next is taken.
CREATE TABLE comments (
    -- GitHub's numbers, all three
    repository BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    heard_at   BIGINT NOT NULL,
    -- JSON: who orders what, of which review. NULL: nobody has read it yet.
    orders     TEXT,
    -- JSON: how it is answered. NULL: not carried out yet.
    answer     TEXT,
    -- The reply is being sent: if nobody hears how that ends, it has to be looked for.
    replying   BOOLEAN NOT NULL DEFAULT FALSE,
    -- NULL: something is still to be done.
    done_at    BIGINT,
    PRIMARY KEY (repository, id)
) WITHOUT ROWID;
CREATE INDEX comments_undone ON comments (repository, heard_at) WHERE done_at IS NULL;
CREATE INDEX comments_done ON comments (done_at) WHERE done_at IS NOT NULL;
