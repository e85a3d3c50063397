-- Moments at which two records of one golden record said different things about a field, not knowing of each other. A
-- row says where to look and holds no value: what stands, what lost and by which rule follows from what the links say
-- now. A row whose words are not the last ones any more is over.
CREATE TABLE conflict (
    id {key},
    link_a BIGINT NOT NULL,           -- the lower number
    link_b BIGINT NOT NULL,
    field TEXT NOT NULL,
    said_a_us BIGINT NOT NULL,        -- which word of each is meant
    said_b_us BIGINT NOT NULL,
    made_us BIGINT NOT NULL,
    verdict TEXT,                     -- stands | pinned | ruled: what a steward decided; NULL: nobody did
    decided_by TEXT,
    decided_us BIGINT,
    UNIQUE (link_a, link_b, field)
);
CREATE INDEX conflict_b ON conflict (link_b);

-- By how much the clock of the system was ahead of ours when an item came, as far as it was measured.
ALTER TABLE inbox ADD COLUMN clock_offset_us BIGINT NOT NULL DEFAULT 0;
