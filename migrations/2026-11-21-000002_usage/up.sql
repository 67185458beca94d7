-- What an attempt read from and wrote to disks, and what was copied to a remote builder and back. NULL: not measured.
ALTER TABLE attempts ADD COLUMN io_read_bytes BIGINT;
ALTER TABLE attempts ADD COLUMN io_written_bytes BIGINT;
ALTER TABLE attempts ADD COLUMN copied_in_bytes BIGINT;
ALTER TABLE attempts ADD COLUMN copied_out_bytes BIGINT;
