-- A review of a stranger's change that nobody allowed yet, and since when: it is not begun, and its state stays 'evaluating'.
ALTER TABLE reviews ADD COLUMN waits_since BIGINT;
