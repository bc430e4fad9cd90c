-- Each payment by its first record beside its account's spend, habit and countries up to it; and
-- the versions of accounts.
-- reads: payment_records
--
-- All on arrival: processing time is the order of the records.
-- spent_today: what the account has spent since midnight (UTC) of the payment's day in the
-- payment's currency, with this payment, net of refunds. habit: the account's charges of more than
-- nothing in that currency before this one; those of a billion and more are no habit, so that the
-- sums fit.
-- State: per account and currency three sums; per account and country a count; per account,
-- currency and day one sum, which grows with the days and has no bound yet: docs/decisions/0034.
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    payments_in_country = 1 AS new_country
FROM (
    SELECT
        *,
        COUNT(*) OVER (PARTITION BY account_id, country ORDER BY seen_at) AS payments_in_country
    FROM (
        SELECT
            *,
            habits - CASE WHEN habit IS NULL THEN 0 ELSE 1 END AS habit_count,
            CAST(sum_of_habits - COALESCE(habit, 0) AS DOUBLE) AS habit_sum,
            CAST(sum_of_squares - COALESCE(habit * habit, 0) AS DOUBLE) AS habit_squares
        FROM (
            SELECT
                *,
                COUNT(habit) OVER currencies AS habits,
                SUM(habit) OVER currencies AS sum_of_habits,
                SUM(habit * habit) OVER currencies AS sum_of_squares
            FROM (
                SELECT
                    *,
                    CASE
                        WHEN sign = 1 AND amount > 0 AND amount < 1000000000
                            THEN CAST(amount AS DECIMAL(13, 4))
                    END AS habit,
                    CASE WHEN status = 'DECLINED' THEN 1 ELSE 0 END AS declined
                FROM (
                    SELECT
                        *,
                        SUM(spend) OVER (
                            PARTITION BY account_id, currency, CAST(rt AS DATE) ORDER BY seen_at
                        ) AS spent_today
                    FROM (
                        SELECT
                            *,
                            PROCTIME() AS seen_at
                        FROM payment_records
                    )
                )
                WHERE is_first OR version IS NOT NULL
            )
            WINDOW currencies AS (PARTITION BY account_id, currency ORDER BY seen_at)
        )
    )
)
