-- Canaries, which no typed table has: so that nobody counts them, and their arrival can be seen.

CREATE TABLE IF NOT EXISTS facts.canaries (
    event_id VARCHAR(128) NOT NULL,
    event_type VARCHAR(64) NOT NULL,
    payment_id VARCHAR(512),
    origin_at TIMESTAMP NOT NULL,
    detected_at TIMESTAMP,
    staged_at TIMESTAMP NOT NULL
)
DISTSTYLE ALL
SORTKEY (origin_at);
