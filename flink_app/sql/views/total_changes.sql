-- What makes the totals change from one fire to the next: rows that add up as those of card_changes
-- do, per currency, and in no currency for what cost nothing.
-- reads: counted_payments
-- boundary: rt
--
-- Totals have few keys: the plain window counts them, and what it says stands for one fire.
SELECT
    CAST(change.changed_at AS TIMESTAMP_LTZ(3)) AS rt,
    hours.currency,
    hours.minor_unit,
    change.sign * hours.amount AS amount,
    change.sign * hours.payment_count AS payment_count,
    change.sign * hours.declined AS declined,
    change.sign * hours.refunded AS refunded
FROM (
    SELECT
        CAST(window_end AS TIMESTAMP_LTZ(3)) - INTERVAL '0.001' SECOND AS begins,
        ${fire_ends(window_end)} AS ends,
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
                        TABLE counted_payments,
                        DESCRIPTOR (rt),
                        INTERVAL '10' SECOND,
                        INTERVAL '60' MINUTE
                    )
                )
        )
    )
    GROUP BY window_start, window_end, currency, minor_unit
) AS hours
CROSS JOIN
    UNNEST(ARRAY [ROW(hours.begins, 1), ROW(hours.ends, -1)]) AS change (changed_at, sign)
WHERE change.changed_at IS NOT NULL
