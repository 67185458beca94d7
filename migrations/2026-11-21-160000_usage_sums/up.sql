-- What ended attempts used, for the metrics.
ALTER TABLE outcome_sums ADD COLUMN cpu_seconds DOUBLE NOT NULL DEFAULT 0;
ALTER TABLE outcome_sums ADD COLUMN io_read_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outcome_sums ADD COLUMN io_written_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outcome_sums ADD COLUMN copied_in_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outcome_sums ADD COLUMN copied_out_bytes BIGINT NOT NULL DEFAULT 0;
