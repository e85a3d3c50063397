-- Changes of the rules that were planned before they were made: what they would do, what they did, and what stood where
-- they wrote. The golden values before and after are in the change log, under the cause apply:ID.
CREATE TABLE proposal (
    id {key},
    files TEXT NOT NULL,              -- digest of the deployment's files
    rules TEXT NOT NULL,              -- digest of what they say together with what ships
    former TEXT,                      -- digest of the files in force before; NULL: nobody noted them
    basis TEXT NOT NULL,              -- where the data stood, as JSON
    told TEXT NOT NULL,               -- what it would do, as JSON
    state TEXT NOT NULL,              -- planned | applying | applied | undoing | undone
    replay BIGINT,                    -- the replay that applies it
    last_change BIGINT,               -- the last position of the change log when it was applied
    undo BIGINT,                      -- the replay that undoes it
    made_by TEXT NOT NULL,
    made_us BIGINT NOT NULL,
    applied_by TEXT,
    applied_us BIGINT,
    undone_by TEXT,
    undone_us BIGINT
);

-- Writes that an apply led to, with what the record showed at their places before.
CREATE TABLE overwritten (
    proposal BIGINT NOT NULL,
    golden BIGINT NOT NULL,
    connection TEXT NOT NULL,
    lens TEXT NOT NULL,
    external_id TEXT NOT NULL,        -- empty: the write makes a record
    stream TEXT NOT NULL,
    fields TEXT NOT NULL,             -- the canonical fields of the write, as JSON
    places TEXT NOT NULL,             -- pointer into the system's record: [before, after]
    fate TEXT NOT NULL,               -- what an undo found: kept (nobody looked) | same | asked | gone | made | under_way
    edited TEXT,                      -- places that somebody else edited since, as JSON: they stay as they are
    delivery BIGINT,                  -- what restores the others
    PRIMARY KEY (proposal, golden, connection, lens, external_id)
){clustered};

-- The files that were in force, latest last: a process that works by others stops.
CREATE TABLE in_force (
    id {key},
    files TEXT NOT NULL,
    schedule TEXT NOT NULL,           -- how often which stream is pulled, as JSON
    since_us BIGINT NOT NULL
);

-- A delivery that puts back what stood before this proposal was applied.
ALTER TABLE delivery ADD COLUMN restores BIGINT;
