-- Two more tables behind the marts, filled and rebuilt like those of 0006.

CREATE TABLE IF NOT EXISTS facts.country_minutes (
    minute TIMESTAMP NOT NULL,
    country VARCHAR(64),
    record_count BIGINT NOT NULL
)
DISTSTYLE ALL
SORTKEY (minute);

CREATE TABLE IF NOT EXISTS facts.score_minutes (
    minute TIMESTAMP NOT NULL,
    score BIGINT,
    payment_count BIGINT NOT NULL
)
DISTSTYLE ALL
SORTKEY (minute);
