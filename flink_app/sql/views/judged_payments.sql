-- Payments on a card that is stolen at the payment's time.
--
-- A payment is judged by the card's newest status, the one with the greatest effective_from, among
-- those that arrived before the watermark passed the payment: it must say STOLEN and have taken
-- effect by the payment's time. Where two have the same effective_from, STOLEN wins. A payment that
-- comes after the watermark is judged by the newest status at the watermark; when that took effect
-- after the payment, the payment is judged by nothing.
-- A status that comes after a newer one took effect changes nothing; one that is published again
-- says the same again. State: two times per card token.
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    stolen_from AS effective_from,
    PROCTIME() AS found_at
FROM (
    SELECT
        *,
        MAX(CASE WHEN card_status = 'STOLEN' THEN rt END) OVER statuses_so_far AS stolen_from,
        MAX(CASE WHEN card_status = 'ACTIVE' THEN rt END) OVER statuses_so_far AS active_from
    FROM timed_arrivals
    WINDOW statuses_so_far AS (
        PARTITION BY card_token
        ORDER BY judged_at
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)
WHERE
    card_status IS NULL
    AND stolen_from <= rt
    AND (active_from IS NULL OR active_from <= stolen_from)
