DROP TABLE closure_sizes;
DROP TRIGGER attempts_come;
DROP TABLE derivations_fts;
DROP TABLE attributes_fts;
DROP TABLE attributes;
DROP TABLE branch_points;
