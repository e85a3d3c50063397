-- expands
-- What stands beside a block: the name of who bears it, by which most strangers are told apart before anything of them is
-- loaded. 0 where it says nothing: of blocks that were written before, until their records are matched anew (`huiliu replay
-- --rematch`) or say something else. A former version that goes on beside this one writes new blocks without a name, and
-- leaves the name of a block that it writes again as it was: a name that changes in that time counts from the next change on.
ALTER TABLE block ADD COLUMN mark BIGINT NOT NULL DEFAULT 0;

-- Those of the blocks of a run: the place of the block as a 32-bit integer and its mark as a 64-bit integer, little-endian,
-- for each that has one.
ALTER TABLE block_run ADD COLUMN marks {blob};
