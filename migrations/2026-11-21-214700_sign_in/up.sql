-- People of the forge who signed in. The forge's number is who they are: names change hands.
CREATE TABLE users (
    id      BIGINT NOT NULL PRIMARY KEY,
    login   TEXT NOT NULL,
    name    TEXT,
    seen_at BIGINT NOT NULL
);

-- Only a hash: whoever reads the database can't continue a session.
CREATE TABLE sessions (
    hash       BLOB NOT NULL PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
) WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- What the forge gave a session to act with, encrypted under a key that is not in the database. Each session has its own, so that
-- signing out in one browser leaves another one signed in.
CREATE TABLE user_tokens (
    session BLOB NOT NULL PRIMARY KEY REFERENCES sessions (hash) ON DELETE CASCADE,
    sealed  BLOB NOT NULL
) WITHOUT ROWID;

-- Which head of a stranger's change may be evaluated and built, and who said so, by GitHub's number; NULL: whoever uses
-- this machine.
CREATE TABLE permissions (
    repository TEXT NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    head       TEXT NOT NULL,
    allowed_by BIGINT,
    allowed_at BIGINT NOT NULL,
    PRIMARY KEY (repository, number, head)
) WITHOUT ROWID;

