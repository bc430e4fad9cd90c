-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Every record on the stream, as an edge's table `events` has it. Every type's data shares one row:
-- a field that a type does not have is null.
-- rt is event time. A record without a valid time, and a type that has none, gets the epoch: it
-- takes part in nothing and never moves the watermark. The watermark moves in steps of 100 ms.
CREATE TEMPORARY TABLE events_schema (
    `type` STRING,
    event_id STRING,
    schema_version BIGINT,
    event_date_origin TIMESTAMP_LTZ(3),
    event_json_data ROW <
        payment_id STRING,
        account_id STRING,
        user_id STRING,
        card_token STRING,
        card_bin STRING,
        card_last4 STRING,
        amount STRING,
        currency STRING,
        merchant_id STRING,
        country STRING,
        city STRING,
        status STRING,
        effective_from TIMESTAMP_LTZ(3),
        reason STRING,
        source STRING
    >,
    rt AS CASE
        WHEN
            event_date_origin >= TO_TIMESTAMP_LTZ(1577836800000, 3)
            AND event_date_origin
            <= CURRENT_TIMESTAMP + INTERVAL '10' SECOND
            THEN CASE
                WHEN `type` IN ('PAYMENT_EVENT', 'HEARTBEAT') THEN event_date_origin
                WHEN
                    `type` = 'CARD_STATUS'
                    AND event_json_data.effective_from >= TO_TIMESTAMP_LTZ(1577836800000, 3)
                    AND event_json_data.effective_from <= event_date_origin
                    THEN event_json_data.effective_from
                ELSE TO_TIMESTAMP_LTZ(0, 3)
            END
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END,
    WATERMARK FOR rt AS CAST(rt AS TIMESTAMP_LTZ(1)) - INTERVAL '${watermark_delay}' SECOND
) WITH ('connector' = 'blackhole')
