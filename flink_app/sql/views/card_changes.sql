-- What makes a card's count change from one fire to the next: rows that add up, from the last full
-- ten minutes to the fire, to the card's payments of the last hour.
-- reads: counted_payments
-- boundary: rt
--
-- One window of 60 min that slides by 10 s would read 360 parts per card at each fire. Here each
-- card's hour is counted at the full ten minutes; from there on a payment adds one when it comes
-- and takes one away an hour later, where rows wait in the window that reads them. What does not
-- fit this, a payment that came after its 10 s had closed, is counted by the plain window and
-- stands for one fire: added before it and taken away after it, except at the full ten minutes,
-- where adding up starts anew.
SELECT
    CAST(change.changed_at AS TIMESTAMP_LTZ(3)) AS rt,
    part.card_token,
    part.card_last4,
    change.sign * part.payment_count AS payment_count
FROM (
    SELECT
        CAST(rt AS TIMESTAMP_LTZ(3)) AS begins,
        CAST(rt AS TIMESTAMP_LTZ(3)) + INTERVAL '60' MINUTE AS ends,
        card_token,
        SUBSTRING(card_last4, 1, 128) AS card_last4,
        CAST(1 AS BIGINT) AS payment_count
    FROM counted_payments
    WHERE NOT part_closed
    UNION ALL
    SELECT
        CAST(window_end AS TIMESTAMP_LTZ(3)) AS begins,
        CAST(NULL AS TIMESTAMP_LTZ(3)) AS ends,
        card_token,
        MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
        COUNT(*) AS payment_count
    FROM
        TABLE(
            HOP(
                TABLE counted_payments,
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
        ${fire_ends(window_end)} AS ends,
        card_token,
        MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
        COUNT(*) AS payment_count
    FROM
        TABLE(
            HOP(
                TABLE counted_payments,
                DESCRIPTOR (rt),
                INTERVAL '10' SECOND,
                INTERVAL '60' MINUTE
            )
        )
    WHERE part_closed
    GROUP BY window_start, window_end, card_token
) AS part
CROSS JOIN
    UNNEST(ARRAY [ROW(part.begins, 1), ROW(part.ends, -1)]) AS change (changed_at, sign)
WHERE change.changed_at IS NOT NULL
