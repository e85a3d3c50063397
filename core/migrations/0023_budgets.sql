-- expands
-- What was used of the calls that vendors allow, by the words of who shares them: several processes take their parts of it,
-- and what counts for an hour or a day outlives a restart.
CREATE TABLE quota (
    name TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    changed_us BIGINT NOT NULL
){clustered};

-- Who renews a token, so that only one process does; and for which refresh token a renewal was begun whose outcome nobody
-- noted.
CREATE TABLE renewal (
    connection TEXT NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    until_us BIGINT NOT NULL,
    asked TEXT,
    PRIMARY KEY (connection, name)
){clustered};
