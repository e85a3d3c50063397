-- What a stream's records looked like at the places that its mapping reads, learned while it was read first.
CREATE TABLE contract (
    connection TEXT NOT NULL,
    lens TEXT NOT NULL,
    source TEXT NOT NULL,             -- read | told: what a system tells by webhook may have another form
    shape TEXT NOT NULL,              -- by place: how often seen and absent, kinds of values, the run that is under way
    PRIMARY KEY (connection, lens, source)
){clustered};

-- What differs from that, one row a finding, however many records show it.
CREATE TABLE drift (
    id {key},
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    lens TEXT NOT NULL,
    kind TEXT NOT NULL,               -- vanished | retyped | unknown_value | refused
    place TEXT NOT NULL,              -- JSON pointer; of what a target refuses: the name that it gives
    detail TEXT NOT NULL,             -- fields, kinds before and now, a suggested place, as JSON
    policy TEXT NOT NULL,             -- evolve | park_row | park_value | stop
    digest TEXT NOT NULL,             -- of the lens then: under another one its rows run again
    state TEXT NOT NULL,              -- open | noted | accepted | back | mended
    made_us BIGINT NOT NULL,
    done_us BIGINT
);
CREATE INDEX drift_state ON drift (state, connection);

-- What waits for a finding's end: of every record the newest that was set aside.
CREATE TABLE parked (
    drift BIGINT NOT NULL,
    connection TEXT NOT NULL,
    lens TEXT NOT NULL,
    external_id TEXT NOT NULL,        -- of what a target refuses: the number of the delivery
    position BIGINT NOT NULL,         -- in the inbox; of what a target refuses: the number of the delivery
    part TEXT NOT NULL,               -- row | value | delivery
    recency BIGINT,                   -- the version's order, if it has one
    PRIMARY KEY (drift, connection, lens, external_id)
){clustered};
CREATE INDEX parked_record ON parked (connection, lens, external_id);
