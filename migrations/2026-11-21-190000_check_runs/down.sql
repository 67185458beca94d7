DROP TABLE check_runs;
