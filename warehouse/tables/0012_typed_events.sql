-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

CREATE TABLE IF NOT EXISTS typed.merchant_minute (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    currency VARCHAR(1024),
    window_start TIMESTAMP,
    window_end TIMESTAMP,
    payment_count BIGINT,
    declined BIGINT,
    refunded BIGINT,
    amount DECIMAL(19, 4),
    refunded_amount DECIMAL(19, 4),
    card_count BIGINT,
    merchant_id VARCHAR(1024)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

CREATE TABLE IF NOT EXISTS typed.user_minute (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    currency VARCHAR(1024),
    window_start TIMESTAMP,
    window_end TIMESTAMP,
    payment_count BIGINT,
    declined BIGINT,
    refunded BIGINT,
    amount DECIMAL(19, 4),
    refunded_amount DECIMAL(19, 4),
    card_count BIGINT,
    user_id VARCHAR(1024)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);
