-- expands
-- Since when a program of which schema may go on with the store: see core/src/store/db/migrations.rs.
ALTER TABLE migration ADD COLUMN oldest BIGINT;

-- The processes that share a store on Postgres. Instants are the server's, microseconds since 1970 UTC: no node's clock
-- counts.
CREATE TABLE node (
    name TEXT NOT NULL PRIMARY KEY,
    place TEXT NOT NULL,
    roles TEXT NOT NULL,
    version TEXT NOT NULL,
    units TEXT NOT NULL,
    home TEXT NOT NULL,               -- the boot, the process and its start: others on its machine see when it is gone
    started_us BIGINT NOT NULL,
    seen_us BIGINT NOT NULL,
    ends_us BIGINT NOT NULL
){clustered};

-- Who does what. The token grows whenever it is somebody else's turn, and with every start.
CREATE TABLE lease (
    unit TEXT NOT NULL PRIMARY KEY,
    holder TEXT,
    token BIGINT NOT NULL,
    since_us BIGINT NOT NULL
){clustered};
