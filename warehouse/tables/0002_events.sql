-- staging.events: every event that was delivered, as it was delivered.
--
-- Times are TIMESTAMP in UTC by convention. Delivery is at least once, so an event may be here
-- twice: read the views of warehouse/staging, which keep one row per event_id. There is no primary
-- key, because Redshift would not enforce it and the planner would believe it.
-- event_json_data is VARCHAR(65535), the longest there is: TEXT means VARCHAR(256) on Redshift.
-- event_dw_regdate is not in the delivered objects: its default is the time of the load.
-- Rows of one event_id meet on one slice (DISTKEY), so removing copies moves no data; the views
-- read one type over a time range (SORTKEY).

CREATE TABLE IF NOT EXISTS staging.events (
    event_id VARCHAR(128) NOT NULL ENCODE ZSTD,
    event_type VARCHAR(32) NOT NULL ENCODE RAW,
    event_date_origin TIMESTAMP NOT NULL ENCODE AZ64,
    event_dw_regdate TIMESTAMP NOT NULL DEFAULT SYSDATE ENCODE AZ64,
    event_json_data VARCHAR(65535) NOT NULL ENCODE ZSTD
)
DISTSTYLE KEY
DISTKEY (event_id)
COMPOUND SORTKEY (event_type, event_date_origin);
