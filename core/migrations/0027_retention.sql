-- expands
-- What arrived is kept as long as the deployment says (`[retention]` in huiliu.toml). This only adds: the former version
-- reads and writes on as it did.
--
-- On Postgres the inbox becomes a partitioned table, so that what is old goes by dropping a table and not row by row: what
-- is there becomes the first partition, behind it new ones are made as they are needed, and a default partition takes what
-- comes before they are. The rows are read once, to prove that they belong there.
{postgres}
ALTER TABLE inbox RENAME TO inbox_first;
ALTER INDEX inbox_pkey RENAME TO inbox_first_pkey;
CREATE TABLE inbox (LIKE inbox_first INCLUDING DEFAULTS, PRIMARY KEY (position)) PARTITION BY RANGE (position);
CREATE SEQUENCE inbox_next;
DO $$
DECLARE next BIGINT;
BEGIN
    SELECT COALESCE(MAX(position), 0) + 1 INTO next FROM inbox_first;
    next := GREATEST(next, (SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM inbox_position_seq));
    PERFORM setval('inbox_next', next, false);
    EXECUTE format('ALTER TABLE inbox ATTACH PARTITION inbox_first FOR VALUES FROM (MINVALUE) TO (%s)', next + 100000);
END $$;
ALTER TABLE inbox_first ALTER COLUMN position DROP IDENTITY;
ALTER TABLE inbox ALTER COLUMN position SET DEFAULT nextval('inbox_next');
ALTER SEQUENCE inbox_next OWNED BY inbox.position;
CREATE TABLE inbox_beyond PARTITION OF inbox DEFAULT;
