-- What GitHub sent, once each. A delivery is a hint: what it says is read again, so a row is of use while it is new, and then to know a
-- repetition from a first time.
CREATE TABLE deliveries (
    -- X-GitHub-Delivery
    id          TEXT NOT NULL PRIMARY KEY,
    -- X-GitHub-Event
    event       TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    -- NULL: what it hints at has not been looked at yet
    handled_at  BIGINT,
    -- zstd-compressed, as it came
    body        BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX deliveries_by_time ON deliveries (received_at);
CREATE INDEX deliveries_unhandled ON deliveries (received_at) WHERE handled_at IS NULL;

-- Installations of the App, by GitHub's number.
CREATE TABLE installations (
    id      BIGINT NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL
);

-- The repositories that they see. GitHub's number outlives every name, so that a renamed repository keeps what is known of it.
CREATE TABLE github_repositories (
    id             BIGINT NOT NULL PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    installation   BIGINT NOT NULL REFERENCES installations (id) ON DELETE CASCADE,
    default_branch TEXT NOT NULL,
    private        BOOLEAN NOT NULL
);
