-- The states of base branches that reviews evaluated, in their order.
CREATE TABLE branch_points (
    id           INTEGER PRIMARY KEY,
    repository   TEXT NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    branch       TEXT NOT NULL,
    rev          TEXT NOT NULL,
    at           BIGINT NOT NULL,
    attributes   BIGINT NOT NULL,
    errors       BIGINT NOT NULL,
    -- NULL: nothing had to be evaluated.
    eval_seconds DOUBLE
);
CREATE INDEX branch_points_of ON branch_points (repository, branch, id);

-- What an attribute was, from one point of its branch to another. Most rows of a branch outlive most of its points.
CREATE TABLE attributes (
    id         INTEGER PRIMARY KEY,
    repository TEXT NOT NULL REFERENCES repositories (name) ON DELETE CASCADE,
    branch     TEXT NOT NULL,
    jobset     TEXT NOT NULL,
    system     TEXT NOT NULL,
    attr       TEXT NOT NULL,
    -- Empty: its evaluation failed.
    drv        TEXT NOT NULL,
    -- Of the derivation.
    name       TEXT NOT NULL,
    first      BIGINT NOT NULL,
    -- NULL: it is so still.
    last       BIGINT
);
CREATE INDEX attributes_now ON attributes (repository, branch, last, first);
CREATE INDEX attributes_since ON attributes (repository, branch, first);
CREATE INDEX attributes_by_drv ON attributes (drv);
CREATE INDEX attributes_by_name ON attributes (attr);

-- What is so still can be searched, any three letters of it.
CREATE VIRTUAL TABLE attributes_fts USING fts5 (attr, name, content = 'attributes', content_rowid = 'id', tokenize = 'trigram');
CREATE TRIGGER attributes_come AFTER INSERT ON attributes WHEN new.last IS NULL BEGIN
    INSERT INTO attributes_fts (rowid, attr, name) VALUES (new.id, new.attr, new.name);
END;
CREATE TRIGGER attributes_end AFTER UPDATE OF last ON attributes WHEN old.last IS NULL AND new.last IS NOT NULL BEGIN
    INSERT INTO attributes_fts (attributes_fts, rowid, attr, name) VALUES ('delete', old.id, old.attr, old.name);
END;
CREATE TRIGGER attributes_go AFTER DELETE ON attributes WHEN old.last IS NULL BEGIN
    INSERT INTO attributes_fts (attributes_fts, rowid, attr, name) VALUES ('delete', old.id, old.attr, old.name);
END;

-- Derivations that were ever tried.
CREATE VIRTUAL TABLE derivations_fts USING fts5 (base_name, tokenize = 'trigram');
INSERT INTO derivations_fts (base_name) SELECT DISTINCT base_name FROM attempts;
CREATE TRIGGER attempts_come BEFORE INSERT ON attempts
WHEN NOT EXISTS (SELECT 1 FROM attempts WHERE base_name = new.base_name) BEGIN
    INSERT INTO derivations_fts (base_name) VALUES (new.base_name);
END;

-- Of runtime closures, in bytes.
CREATE TABLE closure_sizes (
    drv   TEXT NOT NULL PRIMARY KEY,
    bytes BIGINT NOT NULL
) WITHOUT ROWID;
