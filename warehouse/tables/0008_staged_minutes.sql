-- How many events of each minute of event time the stager handed on: the stream's side of a check
-- that counts what is missing here. Whoever refreshes writes the counts of the last hours anew.

CREATE TABLE IF NOT EXISTS staging.staged_minutes (
    minute TIMESTAMP NOT NULL,
    staged_count BIGINT NOT NULL
)
DISTSTYLE ALL
SORTKEY (minute);
