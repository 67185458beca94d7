ALTER TABLE merges DROP COLUMN message;
ALTER TABLE merges DROP COLUMN title;
ALTER TABLE github_repositories DROP COLUMN merge_methods;
