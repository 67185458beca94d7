DROP TABLE opinions_read;
DROP TABLE opinions;
