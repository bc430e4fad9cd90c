-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

CREATE TABLE IF NOT EXISTS typed.payment_event (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    payment_id VARCHAR(1024),
    account_id VARCHAR(1024),
    user_id VARCHAR(1024),
    card_token VARCHAR(256),
    card_bin VARCHAR(64),
    card_last4 VARCHAR(64),
    amount DECIMAL(19, 4),
    currency VARCHAR(64),
    merchant_id VARCHAR(1024),
    country VARCHAR(64),
    city VARCHAR(256),
    status VARCHAR(64)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.card_status (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    card_token VARCHAR(256),
    card_last4 VARCHAR(64),
    status VARCHAR(64),
    effective_from TIMESTAMP,
    reason VARCHAR(1024)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.heartbeat (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    source VARCHAR(1024)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.payment_alert (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    alert_id VARCHAR(256),
    rule VARCHAR(1024),
    rule_version BIGINT,
    reason VARCHAR(1024),
    reported_at TIMESTAMP,
    window_start TIMESTAMP,
    window_end TIMESTAMP,
    late BOOLEAN,
    detected_at TIMESTAMP,
    payment_id VARCHAR(1024),
    account_id VARCHAR(1024),
    user_id VARCHAR(1024),
    card_token VARCHAR(256),
    card_bin VARCHAR(1024),
    card_last4 VARCHAR(1024),
    amount DECIMAL(19, 4),
    currency VARCHAR(1024),
    merchant_id VARCHAR(1024),
    country VARCHAR(1024),
    city VARCHAR(256),
    status VARCHAR(1024),
    found_by VARCHAR(64)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.payment_alert_summary (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    window_start TIMESTAMP,
    window_end TIMESTAMP,
    payment_count BIGINT,
    card_count BIGINT,
    totals VARCHAR(65535),
    top_cards VARCHAR(65535),
    declined BIGINT,
    refunded BIGINT
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.rule_alert (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    alert_id VARCHAR(256),
    rule VARCHAR(1024),
    rule_version BIGINT,
    severity VARCHAR(64),
    entity_kind VARCHAR(64),
    entity_id VARCHAR(1024),
    card_last4 VARCHAR(1024),
    currency VARCHAR(1024),
    observed DECIMAL(19, 4),
    threshold DECIMAL(19, 4),
    explanation VARCHAR(4096),
    window_start TIMESTAMP,
    window_end TIMESTAMP,
    detected_at TIMESTAMP,
    payment_ids VARCHAR(65535),
    payment_count BIGINT
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.page_event (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    page_id VARCHAR(1024),
    state VARCHAR(64),
    alert_ids VARCHAR(65535),
    channel VARCHAR(1024),
    repeat BOOLEAN
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);
