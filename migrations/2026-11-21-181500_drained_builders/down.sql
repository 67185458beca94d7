DROP TABLE drained_builders;
