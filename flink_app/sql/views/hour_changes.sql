-- What makes a summary's figures change from one fire to the next: rows that add up, from the start
-- of a fire's minute to the fire, to the last hour, per card and per currency.
-- reads: stolen, stolen_windows
-- boundary: rt
--
-- One window of 60 min that slides by 10 s would read 360 parts per card at each fire. Here the
-- hour is counted at each full minute; from there on a payment adds one when it comes and takes one
-- away an hour later, where rows wait in the window that reads them. What does not fit this, a
-- payment that came after its 10 s had closed, and totals, which have few keys, is counted by the
-- plain window and stands for one fire: added before it and taken away after it, except at the
-- minute's end, where adding up starts anew.
SELECT
    CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
    card_token,
    SUBSTRING(card_last4, 1, 128) AS card_last4,
    CAST(NULL AS STRING) AS currency,
    CAST(NULL AS INT) AS minor_unit,
    CAST(NULL AS DECIMAL(38, 4)) AS amount,
    CAST(1 AS BIGINT) AS payment_count,
    CASE WHEN status = 'DECLINED' THEN 1 ELSE 0 END AS declined,
    CASE WHEN status = 'REFUNDED' THEN 1 ELSE 0 END AS refunded
FROM stolen_windows
WHERE NOT part_closed
UNION ALL
SELECT
    CAST(rt AS TIMESTAMP_LTZ(3)) + INTERVAL '60' MINUTE AS rt,
    card_token,
    CAST(NULL AS STRING) AS card_last4,
    CAST(NULL AS STRING) AS currency,
    CAST(NULL AS INT) AS minor_unit,
    CAST(NULL AS DECIMAL(38, 4)) AS amount,
    CAST(-1 AS BIGINT) AS payment_count,
    CASE WHEN status = 'DECLINED' THEN -1 ELSE 0 END AS declined,
    CASE WHEN status = 'REFUNDED' THEN -1 ELSE 0 END AS refunded
FROM stolen_windows
WHERE NOT part_closed
UNION ALL
SELECT
    CAST(window_end AS TIMESTAMP_LTZ(3)) AS rt,
    card_token,
    MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
    CAST(NULL AS STRING) AS currency,
    CAST(NULL AS INT) AS minor_unit,
    CAST(NULL AS DECIMAL(38, 4)) AS amount,
    COUNT(*) AS payment_count,
    COUNT(*) FILTER (WHERE status = 'DECLINED') AS declined,
    COUNT(*) FILTER (WHERE status = 'REFUNDED') AS refunded
FROM
    TABLE(
        HOP(TABLE stolen_windows, DESCRIPTOR (rt), INTERVAL '1' MINUTE, INTERVAL '60' MINUTE)
    )
WHERE NOT part_closed
GROUP BY window_start, window_end, card_token
UNION ALL
SELECT
    CAST(change.changed_at AS TIMESTAMP_LTZ(3)) AS rt,
    hours.card_token,
    hours.card_last4,
    hours.currency,
    hours.minor_unit,
    change.sign * hours.amount AS amount,
    change.sign * hours.payment_count AS payment_count,
    change.sign * hours.declined AS declined,
    change.sign * hours.refunded AS refunded
FROM (
    SELECT
        window_end,
        card_token,
        MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
        CAST(NULL AS STRING) AS currency,
        CAST(NULL AS INT) AS minor_unit,
        CAST(NULL AS DECIMAL(38, 4)) AS amount,
        COUNT(*) AS payment_count,
        COUNT(*) FILTER (WHERE status = 'DECLINED') AS declined,
        COUNT(*) FILTER (WHERE status = 'REFUNDED') AS refunded
    FROM
        TABLE(
            HOP(
                TABLE stolen_windows,
                DESCRIPTOR (rt),
                INTERVAL '10' SECOND,
                INTERVAL '60' MINUTE
            )
        )
    WHERE part_closed
    GROUP BY window_start, window_end, card_token
    UNION ALL
    SELECT
        window_end,
        CAST(NULL AS STRING) AS card_token,
        CAST(NULL AS STRING) AS card_last4,
        SUBSTRING(currency, 1, 128) AS currency,
        minor_unit,
        SUM(amount) AS amount,
        COUNT(*) AS payment_count,
        CAST(0 AS BIGINT) AS declined,
        CAST(0 AS BIGINT) AS refunded
    FROM
        TABLE(
            HOP(TABLE stolen, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '60' MINUTE)
        )
    WHERE
        amount_text IS NOT NULL
        AND currency IS NOT NULL
        AND COALESCE(status NOT IN ('DECLINED', 'REFUNDED'), TRUE)
    GROUP BY window_start, window_end, SUBSTRING(currency, 1, 128), minor_unit
) AS hours
CROSS JOIN
    UNNEST(
        ARRAY [ROW(hours.window_end - INTERVAL '0.001' SECOND, 1), ROW(hours.window_end, -1)]
    ) AS change (changed_at, sign)
WHERE change.sign = 1 OR EXTRACT(SECOND FROM change.changed_at) > 0
