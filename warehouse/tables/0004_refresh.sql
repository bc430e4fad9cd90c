-- What the refresh knows: which loads it has seen, and how far each of its steps has come.
--
-- typed holds one table per event type, facts the tables behind the marts; both are filled by
-- warehouse/refresh, load by load. A load is what one COPY committed: its rows share the time of
-- the transaction's start. loads has a row for each one seen, with the batch that it was put into;
-- a load that grew (two COPYs of one microsecond) has one row more. A step has done all batches up
-- to progress.batch, and holds whatever was loaded and visible by progress.as_of. turn has no
-- rows: who refreshes locks it, and nobody who reads waits for that.

CREATE SCHEMA IF NOT EXISTS typed;

CREATE SCHEMA IF NOT EXISTS facts;

CREATE SCHEMA IF NOT EXISTS refresh;

CREATE TABLE IF NOT EXISTS refresh.loads (
    loaded_at TIMESTAMP NOT NULL,
    row_count BIGINT NOT NULL,
    batch BIGINT NOT NULL
)
DISTSTYLE ALL
SORTKEY (loaded_at);

CREATE TABLE IF NOT EXISTS refresh.progress (
    step VARCHAR(128) NOT NULL,
    batch BIGINT NOT NULL,
    as_of TIMESTAMP NOT NULL
)
DISTSTYLE ALL;

CREATE TABLE IF NOT EXISTS refresh.turn (taken_at TIMESTAMP)
DISTSTYLE ALL;
