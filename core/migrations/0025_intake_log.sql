-- expands
-- A log that stands before the inbox: how far it was taken in, written in the transaction that appended what it held.
CREATE TABLE intake_log (
    name TEXT NOT NULL PRIMARY KEY,
    -- Which log of this name: one that was made anew begins to count anew.
    identity TEXT NOT NULL,
    -- Everything up to here is in the inbox.
    position BIGINT NOT NULL,
    -- What marks the message at that position: another one there means that the log lost its end.
    anchor BIGINT NOT NULL,
    -- The last position that was seen in it, and when.
    last BIGINT NOT NULL,
    looked_us BIGINT NOT NULL,
    -- Why nothing of it is taken in.
    trouble TEXT,
    -- 1: a person wants it to be taken in as it is now.
    accepted BIGINT NOT NULL DEFAULT 0
){clustered};
