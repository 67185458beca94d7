-- How the repository lets pull requests be merged, as words with a space between them; NULL: GitHub was not asked yet.
ALTER TABLE github_repositories ADD COLUMN merge_methods TEXT;

-- What the merge's commit is to say; NULL: what GitHub says by itself.
ALTER TABLE merges ADD COLUMN title TEXT;
ALTER TABLE merges ADD COLUMN message TEXT;
