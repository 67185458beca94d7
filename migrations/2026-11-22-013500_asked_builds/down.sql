DROP TABLE asked_builds;
