-- Who may open the console. Of passwords and of the tokens in cookies and links only hashes are kept.
CREATE TABLE account (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,           -- argon2id, as a PHC string
    made_us BIGINT NOT NULL
);
CREATE TABLE invitation (
    hash TEXT PRIMARY KEY,            -- SHA-256 of the token in the link, in hex
    account TEXT,                     -- whose password it sets anew; NULL: a new account
    expires_us BIGINT NOT NULL
);
CREATE TABLE session (
    hash TEXT PRIMARY KEY,            -- SHA-256 of the token in the cookie, in hex
    account TEXT NOT NULL,
    made_us BIGINT NOT NULL,
    seen_us BIGINT NOT NULL
);

-- Records in and deliveries out by minute. A ring: the minute of a day overwrites that of the day before.
CREATE TABLE traffic (
    connection TEXT NOT NULL,
    way TEXT NOT NULL,                -- in | out
    slot BIGINT NOT NULL,             -- minute of the day
    minute BIGINT NOT NULL,           -- minutes since 1970 UTC
    records BIGINT NOT NULL,
    PRIMARY KEY (connection, way, slot)
){clustered};

-- Beginnings of customers' names, folded, as UTF-8: bytes have one order in every database.
CREATE TABLE called (
    name {blob} NOT NULL,
    golden BIGINT NOT NULL,
    PRIMARY KEY (name, golden)
){clustered};

-- What a steward puts off comes after what nobody looked at yet.
ALTER TABLE review ADD COLUMN later_us BIGINT NOT NULL DEFAULT 0;
CREATE INDEX review_queue ON review (state, later_us, id);

CREATE INDEX delivery_connection ON delivery (connection, state, id);
CREATE INDEX dead_letter_state ON dead_letter (state, id);
CREATE INDEX dead_letter_connection ON dead_letter (connection, state, id);
