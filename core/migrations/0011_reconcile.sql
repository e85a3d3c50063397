-- Reconciliation: how far the slow round over each stream is, and what the last whole round compared.
CREATE TABLE reconcile_round (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    number BIGINT NOT NULL,           -- 1 for the first round
    phase TEXT NOT NULL,              -- pages | links | goldens | rest
    cursor TEXT,                      -- where the next page starts, or the last link or golden record looked at
    scan TEXT NOT NULL,               -- where everything stood when the round began, as JSON
    tally TEXT NOT NULL,              -- what it compared so far, as JSON
    started_us BIGINT NOT NULL,
    due_us BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    error TEXT,
    last TEXT,                        -- what the last whole round compared
    last_us BIGINT,
    PRIMARY KEY (connection, stream)
);

-- Which links a round saw: a bit for each link number, so that a million links are 125 kB.
CREATE TABLE reconcile_mark (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    chunk BIGINT NOT NULL,
    bits {blob} NOT NULL,
    PRIMARY KEY (connection, stream, chunk)
);

-- What rounds may cost: the next call of a connection is not before due_us.
CREATE TABLE reconcile_pace (
    connection TEXT PRIMARY KEY,
    due_us BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    since_us BIGINT NOT NULL
);

-- Records that are not the same in their system and in the hub. One row a record; repaired ones are kept for a while.
CREATE TABLE divergence (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    external_id TEXT NOT NULL,
    kind TEXT NOT NULL,               -- unseen | vanished | missed | undelivered | uncreated
    fields TEXT NOT NULL,             -- the canonical fields that differ, as JSON; empty: the whole record
    state TEXT NOT NULL,              -- suspected | repairing | stuck | repaired
    page TEXT,                        -- the cursor of the page that showed it, where one record cannot be read alone
    tries BIGINT NOT NULL,            -- repairs so far
    inbox BIGINT NOT NULL,            -- it is looked at again once the inbox is processed up to here
    reason TEXT,                      -- why it needs a person
    found_us BIGINT NOT NULL,
    due_us BIGINT NOT NULL,
    PRIMARY KEY (connection, stream, external_id)
);
CREATE INDEX divergence_due ON divergence (connection, state, due_us);
