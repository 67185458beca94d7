DROP INDEX evaluations_by_tree;
DROP TABLE standings;
DROP TABLE evidence;
