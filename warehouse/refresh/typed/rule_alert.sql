-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which RULE_ALERTs are new? One breach of one rule by one entity: what was observed,
-- against what threshold.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.rule_alert
-- Writes: typed.rule_alert

INSERT INTO typed.rule_alert (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    alert_id,
    rule,
    rule_version,
    severity,
    entity_kind,
    entity_id,
    card_last4,
    currency,
    observed,
    threshold,
    explanation,
    window_start,
    window_end,
    detected_at,
    payment_ids,
    payment_count,
    paging
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'alert_id'), '') AS alert_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'rule'), '') AS rule,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'rule_version'), '') AS BIGINT
    ) AS rule_version,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'severity'), '') AS severity,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'entity_kind'), '') AS entity_kind,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'entity_id'), '') AS entity_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_last4'), '') AS card_last4,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'currency'), '') AS currency,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'observed'), '') AS DECIMAL(19, 4)
    ) AS observed,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'threshold'), '') AS DECIMAL(19, 4)
    ) AS threshold,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'explanation'), '') AS explanation,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_ids'), '') AS payment_ids,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_count'), '') AS BIGINT
    ) AS payment_count,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'paging'), '') AS paging
FROM (
    SELECT
        event_id,
        event_date_origin,
        event_dw_regdate,
        event_json_data AS data,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY event_dw_regdate, event_date_origin, event_json_data
        ) AS copy_number
    FROM staging.events
    WHERE
        event_type = 'RULE_ALERT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.rule_alert AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
