-- What an account has spent in one currency within the ten minutes up to each of its payments, and
-- its payments before that one. Of what the rule spend_over_limit has a limit for; the rule says
-- what counts.
-- reads: timed_attempts
--
-- RANGE gives what counts at one millisecond the same sum.
SELECT
    *,
    LAG(payment_id, 1) OVER so_far AS id_1,
    LAG(payment_id, 2) OVER so_far AS id_2,
    LAG(payment_id, 3) OVER so_far AS id_3,
    LAG(payment_id, 4) OVER so_far AS id_4
FROM (
    SELECT
        happened_at,
        counted_at,
        account_id,
        currency,
        minor_unit,
        threshold,
        payment_id,
        amount AS paid,
        SUM(amount) OVER last_minutes AS amount,
        COUNT(*) OVER last_minutes AS payments,
        PROCTIME() AS seen_at
    FROM (
        SELECT
            *,
            ${minor_unit} AS minor_unit,
            CASE
                WHEN currency IN ('CHF', 'EUR', 'USD') THEN 3000
                WHEN currency = 'GBP' THEN 2600
                WHEN currency = 'KWD' THEN 1000
                WHEN currency = 'AUD' THEN 5100
                WHEN currency = 'PLN' THEN 13000
                WHEN currency = 'BRL' THEN 18000
                WHEN currency = 'SEK' THEN 34000
                WHEN currency = 'INR' THEN 285000
                WHEN currency = 'JPY' THEN 500000
            END AS threshold
        FROM timed_attempts
        WHERE
            NOT declined
            AND amount > 0
            AND CHAR_LENGTH(account_id) BETWEEN 1 AND 128
    )
    WHERE threshold IS NOT NULL
    WINDOW last_minutes AS (
        PARTITION BY account_id, currency
        ORDER BY counted_at
        RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    )
)
WINDOW so_far AS (PARTITION BY account_id, currency ORDER BY seen_at)
