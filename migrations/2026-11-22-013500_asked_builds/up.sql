-- Attributes that somebody asked a review to build though the change does not alter them. They are stored before the review is begun.
CREATE TABLE asked_builds (
    review TEXT NOT NULL,
    -- As the Nix command line writes it.
    attr   TEXT NOT NULL,
    PRIMARY KEY (review, attr)
) WITHOUT ROWID;
