ALTER TABLE attempts DROP COLUMN copied_out_bytes;
ALTER TABLE attempts DROP COLUMN copied_in_bytes;
ALTER TABLE attempts DROP COLUMN io_written_bytes;
ALTER TABLE attempts DROP COLUMN io_read_bytes;
