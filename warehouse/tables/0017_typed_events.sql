-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

CREATE TABLE IF NOT EXISTS typed.page_act (
    event_id VARCHAR(128) NOT NULL,
    event_date_origin TIMESTAMP NOT NULL,
    event_dw_regdate TIMESTAMP NOT NULL,
    batch BIGINT NOT NULL,
    act_id VARCHAR(256),
    page_id VARCHAR(1024),
    scope VARCHAR(1024),
    act VARCHAR(64),
    by VARCHAR(256),
    claimed BOOLEAN,
    reason VARCHAR(1024),
    until TIMESTAMP,
    link_id VARCHAR(256)
)
DISTSTYLE KEY
DISTKEY (event_id)
SORTKEY (event_date_origin);
