-- What an account has spent in one currency within the ten minutes up to each of its payments, and
-- its payments before that one; of sums that may be above a limit of the rule spend_over_limit,
-- whichever they are. The rule says what counts.
-- reads: timed_attempts
-- boundary: counted_at
-- lifetime: 2 h
--
-- RANGE gives what counts at one millisecond the same sum.
SELECT
    *,
    'spend_over_limit|' || ${bucket(digest)} AS rule_bucket
FROM (
    SELECT
        *,
        MD5(account_id) AS digest,
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
            payment_id,
            amount AS paid,
            SUM(amount) OVER last_minutes AS amount,
            COUNT(*) OVER last_minutes AS payments,
            PROCTIME() AS seen_at
        FROM timed_attempts
        WHERE
            NOT declined
            AND amount > 0
            AND CHAR_LENGTH(account_id) BETWEEN 1 AND 128
            AND CHAR_LENGTH(currency) = 3
        WINDOW last_minutes AS (
            PARTITION BY account_id, currency
            ORDER BY counted_at
            RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
        )
    )
    WINDOW so_far AS (PARTITION BY account_id, currency ORDER BY seen_at)
)
WHERE amount > ${least_limit}
