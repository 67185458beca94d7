DROP TABLE happenings;
