-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

CREATE TABLE IF NOT EXISTS typed.rule (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    rule VARCHAR(1024),
    rule_version BIGINT,
    settings VARCHAR(65535),
    note VARCHAR(1024)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);

ALTER TABLE typed.rule_alert ADD COLUMN paging VARCHAR(64);
