-- What makes a summary's figures change from one fire to the next: rows that add up, from the last
-- full ten minutes to the fire, to the last hour, per card and per currency.
-- reads: stolen, stolen_windows
-- boundary: rt
--
-- One window of 60 min that slides by 10 s would read 360 parts per card at each fire. Here each
-- card's hour is counted at the full ten minutes; from there on a payment adds one when it comes
-- and takes one away an hour later, where rows wait in the window that reads them. What does not
-- fit this, a payment that came after its 10 s had closed, and totals, which have few keys, is
-- counted by the plain window and stands for one fire: added before it and taken away after it,
-- except at the full ten minutes, where adding up starts anew.
SELECT
    CAST(change.changed_at AS TIMESTAMP_LTZ(3)) AS rt,
    part.card_token,
    part.card_last4,
    part.currency,
    part.minor_unit,
    change.sign * part.amount AS amount,
    change.sign * part.payment_count AS payment_count,
    change.sign * part.declined AS declined,
    change.sign * part.refunded AS refunded
FROM (
    SELECT
        CAST(rt AS TIMESTAMP_LTZ(3)) AS begins,
        CAST(rt AS TIMESTAMP_LTZ(3)) + INTERVAL '60' MINUTE AS ends,
        card_token,
        SUBSTRING(card_last4, 1, 128) AS card_last4,
        CAST(NULL AS STRING) AS currency,
        CAST(NULL AS INT) AS minor_unit,
        CAST(NULL AS DECIMAL(38, 4)) AS amount,
        CAST(1 AS BIGINT) AS payment_count,
        CAST(0 AS BIGINT) AS declined,
        CAST(0 AS BIGINT) AS refunded
    FROM stolen_windows
    WHERE NOT part_closed
    UNION ALL
    SELECT
        CAST(window_end AS TIMESTAMP_LTZ(3)) AS begins,
        CAST(NULL AS TIMESTAMP_LTZ(3)) AS ends,
        card_token,
        MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
        CAST(NULL AS STRING) AS currency,
        CAST(NULL AS INT) AS minor_unit,
        CAST(NULL AS DECIMAL(38, 4)) AS amount,
        COUNT(*) AS payment_count,
        CAST(0 AS BIGINT) AS declined,
        CAST(0 AS BIGINT) AS refunded
    FROM
        TABLE(
            HOP(
                TABLE stolen_windows,
                DESCRIPTOR (rt),
                INTERVAL '10' MINUTE,
                INTERVAL '60' MINUTE
            )
        )
    WHERE NOT part_closed
    GROUP BY window_start, window_end, card_token
    UNION ALL
    SELECT
        CAST(window_end AS TIMESTAMP_LTZ(3)) - INTERVAL '0.001' SECOND AS begins,
        CASE
            WHEN EXTRACT(SECOND FROM window_end) > 0 OR MOD(EXTRACT(MINUTE FROM window_end), 10) > 0
                THEN CAST(window_end AS TIMESTAMP_LTZ(3))
        END AS ends,
        card_token,
        card_last4,
        currency,
        minor_unit,
        amount,
        payment_count,
        declined,
        refunded
    FROM (
        SELECT
            window_end,
            card_token,
            MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
            CAST(NULL AS STRING) AS currency,
            CAST(NULL AS INT) AS minor_unit,
            CAST(NULL AS DECIMAL(38, 4)) AS amount,
            COUNT(*) AS payment_count,
            CAST(0 AS BIGINT) AS declined,
            CAST(0 AS BIGINT) AS refunded
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
            currency,
            minor_unit,
            SUM(amount) AS amount,
            COUNT(*) AS payment_count,
            COUNT(*) FILTER (WHERE status = 'DECLINED') AS declined,
            COUNT(*) FILTER (WHERE status = 'REFUNDED') AS refunded
        FROM (
            SELECT
                window_start,
                window_end,
                status,
                CASE WHEN is_cost THEN SUBSTRING(currency, 1, 128) END AS currency,
                CASE WHEN is_cost THEN minor_unit END AS minor_unit,
                CASE WHEN is_cost THEN amount END AS amount
            FROM (
                SELECT
                    *, -- noqa: AM04
                    amount_text IS NOT NULL
                    AND currency IS NOT NULL
                    AND COALESCE(status NOT IN ('DECLINED', 'REFUNDED'), TRUE) AS is_cost
                FROM
                    TABLE(
                        HOP(
                            TABLE stolen,
                            DESCRIPTOR (rt),
                            INTERVAL '10' SECOND,
                            INTERVAL '60' MINUTE
                        )
                    )
            )
        )
        GROUP BY window_start, window_end, currency, minor_unit
    )
) AS part
CROSS JOIN
    UNNEST(ARRAY [ROW(part.begins, 1), ROW(part.ends, -1)]) AS change (changed_at, sign)
WHERE change.changed_at IS NOT NULL
