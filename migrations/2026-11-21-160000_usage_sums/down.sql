ALTER TABLE outcome_sums DROP COLUMN copied_out_bytes;
ALTER TABLE outcome_sums DROP COLUMN copied_in_bytes;
ALTER TABLE outcome_sums DROP COLUMN io_written_bytes;
ALTER TABLE outcome_sums DROP COLUMN io_read_bytes;
ALTER TABLE outcome_sums DROP COLUMN cpu_seconds;
