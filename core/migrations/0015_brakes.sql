-- How much of a stream may go or change at once has a budget, and what lies beyond it is held back. A record that was
-- deleted before it was ever seen has a link that is closed, belongs to nobody and holds nothing: its tombstone.

-- What a budget was spent on in the hour that is running, and whether the brake caught.
CREATE TABLE budget (
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,               -- missing | changing
    since_us BIGINT NOT NULL,         -- when the hour began
    links BIGINT NOT NULL,            -- counted in it
    of_links BIGINT,                  -- the open links of the stream, counted when they were needed
    caught_us BIGINT,                 -- since when the brake holds; NULL: it does not
    PRIMARY KEY (connection, stream, kind)
);

-- Arrivals that the brake holds back: the latest of each link.
CREATE TABLE held_back (
    link {key},
    connection TEXT NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,               -- missing | changing
    position BIGINT NOT NULL,         -- in the inbox
    version TEXT,
    received_us BIGINT NOT NULL,
    released BIGINT NOT NULL          -- 1: a steward lets it pass
);
CREATE INDEX held_back_stream ON held_back (connection, stream, kind, released);
