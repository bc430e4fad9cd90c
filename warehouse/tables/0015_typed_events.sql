-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

CREATE TABLE IF NOT EXISTS typed.quarantined_event (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    kind VARCHAR(64),
    reason VARCHAR(1024),
    card_token VARCHAR(256),
    payment_id VARCHAR(1024),
    status VARCHAR(64),
    happened_at TIMESTAMP
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

ALTER TABLE typed.page_event ADD COLUMN kind VARCHAR(64);
