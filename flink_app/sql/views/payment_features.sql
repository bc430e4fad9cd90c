-- Each payment beside what had come before it: of its account, its card, its user and its
-- merchant.
-- reads: account_records
-- boundary: rt
--
-- All on arrival: processing time is the order of the records, and a payment is seen beside the
-- rows up to it. One operator per OVER; windows of one key that are alike share theirs. Each OVER
-- is followed by what is computed of it: two with nothing between them name a column alike, which
-- Flink refuses.
-- What several factors use is computed here, once: before a boundary Flink computes a value
-- wherever it is named.
-- *_seconds: since the fifth payment before this one of the card or the user, the 20th of the
-- merchant; below nothing where that one is of a later time. kilometres, apart_ms: from the card's
-- last place to this one, by the haversine on a sphere of 6,371.0088 km. version_holds: the
-- account's version is not of a later time; spent_holds: it knows what was spent up to the
-- payment's day; opened_lately: less than 30 days before.
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
    ${minor_unit} AS minor_unit,
    merchant_id,
    country,
    city,
    status,
    place,
    card_absent,
    habit_count,
    CASE WHEN habit_count >= 5 THEN habit_sum / habit_count END AS habit_mean,
    habit_squares,
    new_country AND payments_of_account > 1 AS new_country,
    card_seconds,
    user_seconds,
    merchant_seconds,
    declined_before,
    2 * 6371.0088E0 * ASIN(
        LEAST(
            SQRT(
                POWER(SIN((latitude - latitude_before) / 2), 2)
                + COS(latitude)
                * COS(latitude_before)
                * POWER(SIN((longitude - longitude_before) / 2), 2)
            ),
            1E0
        )
    ) AS kilometres,
    1000 * (EXTRACT(EPOCH FROM rt) - EXTRACT(EPOCH FROM place_before_at))
    + EXTRACT(MILLISECOND FROM rt) - EXTRACT(MILLISECOND FROM place_before_at) AS apart_ms,
    COALESCE(account_valid_from <= ${instant_text(rt)}, FALSE) AS version_holds,
    spent_until >= CAST(CAST(rt AS DATE) AS STRING) || 'T00:00:00.000Z' AS spent_holds,
    opened_at > REPLACE(CAST(rt - INTERVAL '30' DAY AS STRING), ' ', 'T') || 'Z' AS opened_lately,
    COALESCE(spent_today, 0) + CAST(spent AS DECIMAL(19, 4)) AS spend,
    account_valid_from,
    opened_at,
    account_currency,
    credit_limit,
    account_status,
    risk_segment,
    holder_country,
    account_name
FROM (
    SELECT
        *,
        SPLIT_INDEX(newest_version, CHR(9), 0) AS account_valid_from,
        SPLIT_INDEX(newest_version, CHR(9), 1) AS opened_at,
        SPLIT_INDEX(newest_version, CHR(9), 2) AS spent_until,
        SPLIT_INDEX(newest_version, CHR(9), 3) AS account_currency,
        SPLIT_INDEX(newest_version, CHR(9), 4) AS credit_limit,
        SPLIT_INDEX(newest_version, CHR(9), 5) AS spent,
        SPLIT_INDEX(newest_version, CHR(9), 6) AS account_status,
        SPLIT_INDEX(newest_version, CHR(9), 7) AS risk_segment,
        SPLIT_INDEX(newest_version, CHR(9), 8) AS holder_country,
        SPLIT_INDEX(newest_version, CHR(9), 9) AS account_name,
        RADIANS(CAST(place / 10000000 AS DOUBLE) / 10000 - 90) AS latitude,
        RADIANS(CAST(MOD(place, 10000000) AS DOUBLE) / 10000 - 180) AS longitude,
        RADIANS(CAST(place_before / 10000000 AS DOUBLE) / 10000 - 90) AS latitude_before,
        RADIANS(CAST(MOD(place_before, 10000000) AS DOUBLE) / 10000 - 180) AS longitude_before
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
                        CASE
                            WHEN declined = 1 AND COALESCE(was_declined, 0) = 0
                                THEN declines - 1
                        END
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
)
WHERE version IS NULL
