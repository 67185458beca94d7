-- The head that the pull request had here when the comment's delivery came; NULL: it was not known here. What is ordered of one head is not
-- done to another.
ALTER TABLE comments ADD COLUMN head TEXT;
