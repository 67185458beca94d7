-- What happened to pull requests, for people to read. Written with the change itself, in one transaction. As reviews are, it may be of a
-- repository that is not stored.
CREATE TABLE happenings (
    id         INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,
    number     BIGINT NOT NULL,
    -- The review that it happened to, where it was one.
    review     TEXT,
    -- Milliseconds.
    at         BIGINT NOT NULL,
    what       TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX happenings_of_pull ON happenings (repository, number, id);
