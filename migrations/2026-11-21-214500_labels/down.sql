DROP TABLE labelled_pulls;
