-- Each payment by its first record, beside what had come before it: of its account, its card, its
-- user and its merchant.
-- reads: account_records
-- boundary: none
--
-- All on arrival: processing time is the order of the records, and a payment is seen beside the
-- rows up to it. One operator per OVER; windows of one key that are alike share theirs. Each OVER
-- is followed by what is computed of it: two with nothing between them name a column alike, which
-- Flink refuses.
-- *_seconds: since the fifth payment before this one of the card or the user, the 20th of the
-- merchant; below nothing where that one is of a later time.
-- State: per account its newest version and a count; per card ten values, per user five times, per
-- merchant 20.
SELECT
    rt,
    late,
    stolen_since,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city,
    status,
    place,
    card_absent,
    spent_today,
    habit_count,
    habit_sum,
    habit_squares,
    new_country AND payments_of_account > 1 AS new_country,
    card_seconds,
    user_seconds,
    merchant_seconds,
    place_before,
    place_before_at,
    declined_before,
    SPLIT_INDEX(newest_version, CHR(9), 0) AS account_valid_from,
    SPLIT_INDEX(newest_version, CHR(9), 1) AS opened_at,
    SPLIT_INDEX(newest_version, CHR(9), 2) AS spent_until,
    SPLIT_INDEX(newest_version, CHR(9), 3) AS account_currency,
    SPLIT_INDEX(newest_version, CHR(9), 4) AS credit_limit,
    SPLIT_INDEX(newest_version, CHR(9), 5) AS spent,
    SPLIT_INDEX(newest_version, CHR(9), 6) AS account_status,
    SPLIT_INDEX(newest_version, CHR(9), 7) AS risk_segment,
    SPLIT_INDEX(newest_version, CHR(9), 8) AS holder_country,
    SPLIT_INDEX(newest_version, CHR(9), 9) AS account_name
FROM (
    SELECT
        *,
        MAX(version) OVER account AS newest_version,
        COUNT(payment_id) OVER account AS payments_of_account
    FROM (
        SELECT
            *,
            CASE
                WHEN sign = 1 AND was_declined = 1 THEN declines - declines_before_streak ELSE 0
            END AS declined_before
        FROM (
            SELECT
                *,
                LAG(card_place, 1) OVER card AS place_before,
                LAG(card_place_at, 1) OVER card AS place_before_at,
                LAST_VALUE(
                    CASE WHEN declined = 1 AND COALESCE(was_declined, 0) = 0 THEN declines - 1 END
                ) OVER card AS declines_before_streak
            FROM (
                SELECT
                    *,
                    TIMESTAMPDIFF(SECOND, card_5_before, rt) AS card_seconds
                FROM (
                    SELECT
                        *,
                        SUM(declined) OVER card AS declines,
                        LAG(declined, 1) OVER card AS was_declined,
                        LAST_VALUE(place) OVER card AS card_place,
                        LAST_VALUE(CASE WHEN place IS NOT NULL THEN rt END) OVER card
                            AS card_place_at,
                        LAG(rt, 5) OVER card AS card_5_before
                    FROM (
                        SELECT
                            *,
                            TIMESTAMPDIFF(SECOND, merchant_20_before, rt) AS merchant_seconds
                        FROM (
                            SELECT
                                *,
                                LAG(rt, 20) OVER (
                                    PARTITION BY merchant_id ORDER BY seen_at
                                ) AS merchant_20_before
                            FROM (
                                SELECT
                                    *,
                                    TIMESTAMPDIFF(SECOND, user_5_before, rt) AS user_seconds
                                FROM (
                                    SELECT
                                        *,
                                        LAG(rt, 5) OVER (
                                            PARTITION BY user_id ORDER BY seen_at
                                        ) AS user_5_before
                                    FROM account_records
                                )
                            )
                        )
                    )
                    WINDOW card AS (PARTITION BY card_token ORDER BY seen_at)
                )
            )
            WINDOW card AS (PARTITION BY card_token ORDER BY seen_at)
        )
    )
    WINDOW account AS (PARTITION BY account_id ORDER BY seen_at)
)
WHERE version IS NULL
