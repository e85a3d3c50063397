-- The first schema. The same text serves SQLite and Postgres: {serial} is a key that the database counts up, {blob}
-- raw bytes, {clustered} keeps a table in the order of its primary key where the database can. Instants are
-- microseconds since 1970 UTC; JSON is text, so that both stores keep the same bytes.

CREATE TABLE connection (
    name TEXT PRIMARY KEY,
    connector TEXT NOT NULL,
    state TEXT NOT NULL,              -- observing | live | paused
    resume TEXT NOT NULL,             -- the state to return to after a pause
    reason TEXT,
    changed_us BIGINT NOT NULL,
    clock_offset_us BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE stream_state (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    cursor TEXT,
    due_us BIGINT NOT NULL DEFAULT 0,
    ok_us BIGINT,
    error_kind TEXT,
    error TEXT,
    failures BIGINT NOT NULL DEFAULT 0,
    records BIGINT NOT NULL DEFAULT 0,
    stopped BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (connection, stream)
);

-- The append-only log of what arrived. No secondary index: it is read by position only.
CREATE TABLE inbox (
    position {serial},
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,               -- record | deleted | webhook
    stream TEXT,
    external_id TEXT,
    version TEXT,
    target TEXT,
    headers TEXT,
    body {blob} NOT NULL,
    received_us BIGINT NOT NULL
);

-- Events whose repeat would be acknowledged and dropped.
CREATE TABLE inbox_seen (
    connection TEXT NOT NULL,
    dedupe TEXT NOT NULL,
    received_us BIGINT NOT NULL,
    PRIMARY KEY (connection, dedupe)
){clustered};

CREATE TABLE progress (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);

-- Keys whose content must be fetched. One row a key, however many hints came.
CREATE TABLE fetch_request (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    external_id TEXT NOT NULL,
    cause BIGINT NOT NULL,
    asked BIGINT NOT NULL,            -- grows with every hint: a hint during a fetch is not lost
    failures BIGINT NOT NULL DEFAULT 0,
    due_us BIGINT NOT NULL,
    PRIMARY KEY (connection, stream, external_id)
);

CREATE TABLE link (
    id {key},
    connection TEXT NOT NULL,
    lens TEXT NOT NULL,
    external_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    golden BIGINT NOT NULL,
    state TEXT NOT NULL,              -- said, held, identities, references
    version TEXT,
    open BIGINT NOT NULL,             -- 0: the system says that the record is gone
    UNIQUE (connection, lens, external_id)
);
CREATE INDEX link_golden ON link (golden);

-- Which links are worth comparing: hashed identities and blocking keys of what each link said.
CREATE TABLE block (
    hash BIGINT NOT NULL,
    link BIGINT NOT NULL,
    golden BIGINT NOT NULL,
    PRIMARY KEY (hash, link)
){clustered};

-- How a golden record of another entity names its customer: hashed references.
CREATE TABLE reference (
    hash BIGINT NOT NULL,
    link BIGINT NOT NULL,
    PRIMARY KEY (hash, link)
){clustered};

CREATE TABLE golden (
    id {key},
    entity TEXT NOT NULL,
    fields TEXT NOT NULL,
    merged_into BIGINT,
    change BIGINT NOT NULL
);

CREATE TABLE pin (
    golden BIGINT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_us BIGINT NOT NULL,
    PRIMARY KEY (golden, field)
);

CREATE TABLE change_log (
    position {key},
    golden BIGINT NOT NULL,
    entity TEXT NOT NULL,
    kind TEXT NOT NULL,               -- create | update | merge | split | delete | empty
    diff TEXT NOT NULL,               -- field: [before, after]
    cause TEXT NOT NULL,              -- inbox:POSITION or steward:NAME
    at_us BIGINT NOT NULL
);
CREATE INDEX change_log_golden ON change_log (golden);

-- What became of each arrival, by link.
CREATE TABLE journal (
    link BIGINT NOT NULL,
    position BIGINT NOT NULL,
    outcome TEXT NOT NULL,            -- created | linked | changed | echo | stale | overtaken | deleted | review
    detail TEXT,
    PRIMARY KEY (link, position)
){clustered};

CREATE TABLE delivery (
    id {key},
    connection TEXT NOT NULL,
    lens TEXT NOT NULL,
    stream TEXT NOT NULL,
    golden BIGINT NOT NULL,
    external_id TEXT,
    operation TEXT NOT NULL,
    fields TEXT NOT NULL,             -- the patch in canonical words
    body TEXT NOT NULL,               -- the same in vendor words
    base TEXT NOT NULL,
    base_version TEXT,
    idempotency_key TEXT NOT NULL,
    change BIGINT NOT NULL,
    state TEXT NOT NULL,              -- pending | sending | done | dead | dropped
    attempts BIGINT NOT NULL DEFAULT 0,
    due_us BIGINT NOT NULL,
    error TEXT,
    planned_us BIGINT NOT NULL,
    done_us BIGINT
);
CREATE INDEX delivery_golden ON delivery (golden);
CREATE INDEX delivery_open ON delivery (state, due_us);

CREATE TABLE attempt (
    delivery BIGINT NOT NULL,
    number BIGINT NOT NULL,
    started_us BIGINT NOT NULL,
    outcome TEXT,
    detail TEXT,
    PRIMARY KEY (delivery, number)
){clustered};

CREATE TABLE dead_letter (
    id {serial},
    stage TEXT NOT NULL,              -- process | fetch | push
    connection TEXT NOT NULL,
    stream TEXT,
    external_id TEXT,
    item BIGINT NOT NULL,             -- inbox position or delivery number
    reason TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    state TEXT NOT NULL               -- waiting | retried
);

CREATE TABLE review (
    id {key},
    link BIGINT NOT NULL,
    golden BIGINT NOT NULL,
    candidates TEXT NOT NULL,
    state TEXT NOT NULL,              -- waiting | same | different
    made_us BIGINT NOT NULL,
    decided_by TEXT,
    decided_us BIGINT
);

-- What stewards ruled for ever: these two links are, or are not, the same.
CREATE TABLE ruling (
    link_a BIGINT NOT NULL,
    link_b BIGINT NOT NULL,
    verdict TEXT NOT NULL,            -- same | different
    made_by TEXT NOT NULL,
    made_us BIGINT NOT NULL,
    PRIMARY KEY (link_a, link_b)
);

CREATE TABLE token (
    connection TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed {blob} NOT NULL,
    PRIMARY KEY (connection, name)
);
