-- What people who may write to the repository think of a pull request: of each the last that they said, unless it was dismissed.
CREATE TABLE opinions (
    repository TEXT NOT NULL,
    number     BIGINT NOT NULL,
    -- The forge's number of who said it: names change hands.
    by_id      BIGINT NOT NULL,
    by_login   TEXT NOT NULL,
    stance     TEXT NOT NULL CHECK (stance IN ('approves', 'requests_changes')),
    -- What was looked at; NULL: the forge does not know any more.
    head       TEXT,
    -- Milliseconds.
    said_at    BIGINT NOT NULL,
    PRIMARY KEY (repository, number, by_id),
    FOREIGN KEY (repository, number) REFERENCES pulls (repository, number) ON DELETE CASCADE
) WITHOUT ROWID;

-- Up to when that is known: the pull request as it was touched last, by the forge's clock. Milliseconds, both.
CREATE TABLE opinions_read (
    repository TEXT NOT NULL,
    number     BIGINT NOT NULL,
    touched_at BIGINT NOT NULL,
    read_at    BIGINT NOT NULL,
    PRIMARY KEY (repository, number),
    FOREIGN KEY (repository, number) REFERENCES pulls (repository, number) ON DELETE CASCADE
) WITHOUT ROWID;
