-- What targets stored, and when we learnt it: replay folds it with what arrived, so that a copy stays a copy.
CREATE TABLE receipt (
    link BIGINT NOT NULL,
    delivery BIGINT NOT NULL,
    processed BIGINT NOT NULL,        -- the position of the stage process then: what it read later came later
    stored TEXT,                      -- the vendor's JSON of the whole record, if the reply showed it
    at_us BIGINT NOT NULL,
    PRIMARY KEY (link, delivery)
){clustered};

-- Replays: kept items read through the rules of that day. Their changes have the cause replay:ID.
CREATE TABLE replay (
    id {key},
    scope TEXT NOT NULL,              -- what is read anew, as JSON
    rules TEXT NOT NULL,              -- digest of the rules: under others an interrupted replay begins again
    place TEXT NOT NULL,              -- how far it is, as JSON
    report TEXT NOT NULL,             -- counts so far, as JSON
    made_by TEXT NOT NULL,
    started_us BIGINT NOT NULL,
    done_us BIGINT
);

-- A ruling is looked up from either of its links.
CREATE INDEX ruling_other ON ruling (link_b);
