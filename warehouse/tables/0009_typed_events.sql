-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

ALTER TABLE typed.payment_event ADD COLUMN entry_mode VARCHAR(64);

ALTER TABLE typed.payment_event ADD COLUMN merchant_category VARCHAR(64);

ALTER TABLE typed.payment_event ADD COLUMN latitude VARCHAR(64);

ALTER TABLE typed.payment_event ADD COLUMN longitude VARCHAR(64);

CREATE TABLE IF NOT EXISTS typed.account (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    account_id VARCHAR(1024),
    account_name VARCHAR(256),
    holder_country VARCHAR(64),
    opened_at TIMESTAMP,
    credit_limit DECIMAL(19, 4),
    currency VARCHAR(64),
    spent DECIMAL(19, 4),
    spent_until TIMESTAMP,
    status VARCHAR(64),
    risk_segment VARCHAR(64),
    valid_from TIMESTAMP
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);
