-- Builders that take nothing new, because somebody said so; by name, whether they are configured at the moment or not.
CREATE TABLE drained_builders (
    name TEXT NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL
) WITHOUT ROWID;
