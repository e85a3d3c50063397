-- Until when an attempt may have done something, and from when on a stream was read to its end: what was made before the
-- read began is among what it showed.
ALTER TABLE attempt ADD COLUMN ended_us BIGINT;
ALTER TABLE stream_state ADD COLUMN seen_us BIGINT;
ALTER TABLE stream_state ADD COLUMN seen_to BIGINT;
-- Creates that are tried again are few among a million that wait.
CREATE INDEX delivery_again ON delivery (connection, due_us) WHERE state = 'pending' AND operation = 'create' AND attempts > 0;
