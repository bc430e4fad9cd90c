-- What an account has spent in one currency within 5, 10 and 30 minutes up to each of its payments,
-- and its payments before that one; of sums that may be above a limit of the rule spend_over_limit,
-- whichever they are. The rule says what counts.
-- reads: timed_attempts
-- boundary: counted_at
-- lifetime: 2 h
--
-- RANGE gives what counts at one millisecond the same sum. Which of the windows holds, the version
-- says that a payment meets after them: all payments are too many to meet it before.
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
            *,
            PROCTIME() AS seen_at,
            SUM(paid) OVER last_30 AS amount_30,
            COUNT(*) OVER last_30 AS payments_30
        FROM (
            SELECT
                *,
                SUM(paid) OVER last_10 AS amount_10,
                COUNT(*) OVER last_10 AS payments_10
            FROM (
                SELECT
                    *,
                    SUM(paid) OVER last_5 AS amount_5,
                    COUNT(*) OVER last_5 AS payments_5
                FROM (
                    SELECT
                        happened_at,
                        counted_at,
                        account_id,
                        currency,
                        payment_id,
                        amount AS paid
                    FROM timed_attempts
                    WHERE
                        NOT declined
                        AND amount > 0
                        AND CHAR_LENGTH(account_id) BETWEEN 1 AND 128
                        AND CHAR_LENGTH(currency) = 3
                )
                WINDOW last_5 AS (
                    PARTITION BY account_id, currency
                    ORDER BY counted_at
                    RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW
                )
            )
            WINDOW last_10 AS (
                PARTITION BY account_id, currency
                ORDER BY counted_at
                RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
            )
        )
        WINDOW last_30 AS (
            PARTITION BY account_id, currency
            ORDER BY counted_at
            RANGE BETWEEN INTERVAL '30' MINUTE PRECEDING AND CURRENT ROW
        )
    )
    WINDOW so_far AS (PARTITION BY account_id, currency ORDER BY seen_at)
)
WHERE amount_30 > ${least_limit}
