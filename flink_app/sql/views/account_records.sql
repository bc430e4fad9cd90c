-- Each payment beside its account's habit and countries up to it; and the versions of accounts.
-- reads: daily_spend
--
-- All on arrival: processing time is the order of the records.
-- habit: the account's charges of more than nothing in the payment's currency before this one;
-- those of a billion and more are no habit, so that the sums fit.
-- State: per account and currency three sums; per account and country a count.
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
                    CASE WHEN status = 'DECLINED' THEN 1 ELSE 0 END AS declined,
                    PROCTIME() AS seen_at
                FROM daily_spend
            )
            WINDOW currencies AS (PARTITION BY account_id, currency ORDER BY seen_at)
        )
    )
)
