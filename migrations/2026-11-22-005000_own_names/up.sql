-- What comes after the last dot of an attribute that is so still: a search for it begins with those whose own name it is.
CREATE INDEX attributes_by_own_name ON attributes (lower(substr(attr, length(rtrim(attr, replace(attr, '.', ''))) + 1)))
WHERE last IS NULL;
