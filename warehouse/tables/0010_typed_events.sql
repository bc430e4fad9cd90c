-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

CREATE TABLE IF NOT EXISTS typed.payment_attributed (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    payment_id VARCHAR(1024),
    card_token VARCHAR(256),
    card_last4 VARCHAR(1024),
    account_id VARCHAR(1024),
    user_id VARCHAR(1024),
    merchant_id VARCHAR(1024),
    amount DECIMAL(19, 4),
    currency VARCHAR(1024),
    status VARCHAR(1024),
    country VARCHAR(1024),
    city VARCHAR(256),
    account_known BOOLEAN,
    account_name VARCHAR(256),
    holder_country VARCHAR(64),
    opened_at TIMESTAMP,
    credit_limit DECIMAL(19, 4),
    account_currency VARCHAR(64),
    account_status VARCHAR(64),
    risk_segment VARCHAR(64),
    account_valid_from TIMESTAMP,
    late BOOLEAN,
    not_judged VARCHAR(65535),
    score BIGINT,
    score_version BIGINT,
    factors VARCHAR(65535),
    detected_at TIMESTAMP
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);
