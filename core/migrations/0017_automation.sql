-- What rules of rules/automation.toml did. A rule is known from here on, so that what changed before says nothing.
CREATE TABLE rule_known (
    rule TEXT PRIMARY KEY,
    since BIGINT NOT NULL             -- position in the change log
);

-- For rules that look at other records, whether their condition held last: that a record refers to another one now is
-- no change of its fields.
CREATE TABLE rule_held (
    golden BIGINT NOT NULL,
    rule TEXT NOT NULL,
    digest BIGINT NOT NULL,           -- of the condition then: of another one it says nothing
    holds BIGINT NOT NULL,
    PRIMARY KEY (golden, rule)
){clustered};

-- A rule fires once for a change of a record, whatever is repeated.
CREATE TABLE firing (
    id {key},
    rule TEXT NOT NULL,
    golden BIGINT NOT NULL,
    change BIGINT NOT NULL,
    depth BIGINT NOT NULL,            -- 0: nobody's rule led to it; else one more than of the firing that did
    state TEXT NOT NULL,              -- fired | too_deep | first_read
    at_us BIGINT NOT NULL,
    UNIQUE (golden, rule, change)
);

-- What it did, one row an action.
CREATE TABLE firing_action (
    firing BIGINT NOT NULL,
    number BIGINT NOT NULL,
    word TEXT NOT NULL,               -- tag | create | webhook | notify | mail
    target TEXT NOT NULL,
    delivery BIGINT,                  -- what carries it out
    made TEXT,                        -- the id that the target gave
    detail TEXT,                      -- why nothing was sent
    PRIMARY KEY (firing, number)
){clustered};
CREATE INDEX firing_action_delivery ON firing_action (delivery);
CREATE INDEX firing_action_made ON firing_action (made);
