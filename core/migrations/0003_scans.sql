-- Complete scans: where the scan that is under way began, and the brake that held one back, both as JSON.
ALTER TABLE stream_state ADD COLUMN scan TEXT;
ALTER TABLE stream_state ADD COLUMN brake TEXT;

-- What stewards did, and why. The change log names the steward; this says what the command was.
CREATE TABLE command (
    id {key},
    what TEXT NOT NULL,               -- decide | link | split | pin | unpin | release
    detail TEXT NOT NULL,             -- what it was about, as JSON
    made_by TEXT NOT NULL,
    why TEXT NOT NULL,
    change BIGINT NOT NULL,           -- the first change that it made, 0 if it made none
    made_us BIGINT NOT NULL
);
