-- A review may also end as merged (the records became one otherwise) or ruled (a ruling excludes every candidate).

-- Creates wait until their stream was read to its end once: the record may be there already.
ALTER TABLE stream_state ADD COLUMN read_to BIGINT; -- the inbox's last position when the first complete read ended
ALTER TABLE stream_state ADD COLUMN held BIGINT;    -- creates waited: golden records after this one are planned anew
