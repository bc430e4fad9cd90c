-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which RULEs are new? One version of one rule; it holds from the event's
-- event_date_origin, its publication. Of all versions of a rule the one that was published last
-- holds, whichever comes last.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.rule
-- Writes: typed.rule

INSERT INTO typed.rule (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    rule,
    rule_version,
    settings,
    note
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'rule'), '') AS rule,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'rule_version'), '') AS BIGINT
    ) AS rule_version,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'settings'), '') AS settings,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'note'), '') AS note
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
        event_type = 'RULE'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.rule AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
