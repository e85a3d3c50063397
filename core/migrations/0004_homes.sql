-- Where a link came from when its golden record was absorbed: a split gives it back.
CREATE TABLE home (
    link BIGINT NOT NULL,
    golden BIGINT NOT NULL,           -- the record that absorbed it
    home BIGINT NOT NULL,             -- the record that it had before
    PRIMARY KEY (link, golden)
){clustered};

-- A stream read from scratch beside its live pull.
CREATE TABLE backfill (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    cursor TEXT,
    scan TEXT NOT NULL,
    records BIGINT NOT NULL,
    started_us BIGINT NOT NULL,
    done_us BIGINT,
    PRIMARY KEY (connection, stream)
);
