-- The tables behind the marts. warehouse/refresh/facts fills them; each row can be made again from
-- typed and staging, so a table is rebuilt by setting its step's batch in refresh.progress to 0.

CREATE TABLE IF NOT EXISTS facts.page_alerts (
    event_id VARCHAR(256) NOT NULL,
    alert_id VARCHAR(256) NOT NULL,
    page_id VARCHAR(1024) NOT NULL,
    state VARCHAR(64),
    channel VARCHAR(1024),
    repeat BOOLEAN,
    happened_at TIMESTAMP NOT NULL
)
DISTSTYLE KEY
DISTKEY (alert_id)
SORTKEY (happened_at);

CREATE TABLE IF NOT EXISTS facts.stolen_payments (
    payment_id VARCHAR(1024) NOT NULL,
    card_token VARCHAR(256) NOT NULL,
    card_last4 VARCHAR(64),
    amount DECIMAL(19, 4),
    currency VARCHAR(64),
    event_date_origin TIMESTAMP NOT NULL,
    reported_at TIMESTAMP NOT NULL,
    owed_by VARCHAR(64) NOT NULL,
    status VARCHAR(64),
    cost DECIMAL(19, 4)
)
DISTSTYLE KEY
DISTKEY (card_token)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS facts.spend_minutes (
    minute TIMESTAMP NOT NULL,
    currency VARCHAR(64) NOT NULL,
    status VARCHAR(64) NOT NULL,
    record_count BIGINT NOT NULL,
    amount DECIMAL(38, 4) NOT NULL
)
DISTSTYLE ALL
SORTKEY (minute);

CREATE TABLE IF NOT EXISTS facts.event_minutes (
    minute TIMESTAMP NOT NULL,
    event_type VARCHAR(32) NOT NULL,
    row_count BIGINT NOT NULL,
    event_count BIGINT NOT NULL
)
DISTSTYLE ALL
SORTKEY (minute);
