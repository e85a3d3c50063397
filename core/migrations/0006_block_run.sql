-- Blocks as they come, a run a batch: hash, link and golden record of each as three 64-bit integers, little-endian, -1 as
-- the golden record of a block that was taken away. From here they go into `block`, sorted and many at once.
CREATE TABLE block_run (
    position {serial},
    blocks {blob} NOT NULL
);
