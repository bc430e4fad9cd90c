-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- What an edge's table `events` has of every record on the stream: the fields that a query reads.
-- All types share one row: a field that a type does not have is null. All are text here, numbers
-- and times too, and read by the queries: Flink's json format would write out whatever exponent a
-- number has, digit by digit, so that one short record stalls the job, and takes no offset.
-- An edge adds arrived_at: when the stream took the record, null where that is not known.
CREATE TEMPORARY TABLE events_schema (
    `type` STRING,
    event_date_origin STRING,
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
        entry_mode STRING,
        latitude STRING,
        longitude STRING,
        effective_from STRING,
        account_name STRING,
        holder_country STRING,
        opened_at STRING,
        credit_limit STRING,
        spent STRING,
        spent_until STRING,
        risk_segment STRING,
        valid_from STRING,
        rule STRING,
        rule_version STRING,
        settings STRING
    >
) WITH ('connector' = 'blackhole')
