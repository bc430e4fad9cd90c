-- Which factors speak against each payment, and which cannot be judged?
-- reads: payment_features
-- boundary: rt
--
-- A factor is true where it fires and null where it cannot be judged. What goes by the order of a
-- card's, a user's or a merchant's payments says nothing of a late one; what a version of the
-- account says, nothing of a payment from before it; spend is judged in the account's currency and
-- by a version that knows what was spent up to the payment's day; travel by two places of one
-- card. Constants: more than 5 payments of a card or a user in 60 s, 20 of a merchant; 5 earlier
-- charges, 3 deviations of at least a tenth of the mean; 900 km/h over more than 100 km; 3 declines
-- in a row; 30 days.
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
    ${amount_text(amount)} AS amount_text,
    currency,
    merchant_id,
    country,
    SUBSTRING(city, 1, 64) AS city,
    status,
    habit_count,
    habit_mean,
    habit_deviation,
    card_seconds,
    user_seconds,
    merchant_seconds,
    declined_before,
    kilometres,
    apart_ms,
    spend,
    account_valid_from IS NOT NULL AS account_known,
    account_valid_from,
    opened_at,
    account_currency,
    credit_limit,
    account_status,
    risk_segment,
    holder_country,
    account_name,
    stolen_since IS NOT NULL AS stolen_card,
    CASE
        -- km/h above 900, without dividing by a time that may be none.
        WHEN place IS NOT NULL
            THEN COALESCE(kilometres > 100 AND kilometres * 4000 > ABS(apart_ms), FALSE)
        WHEN card_absent THEN FALSE
    END AS impossible_travel,
    CASE
        WHEN
            version_holds
            AND amount IS NOT NULL
            AND currency = account_currency
            AND spent_holds
            THEN spend > CAST(credit_limit AS DECIMAL(19, 4))
    END AS over_limit,
    CASE WHEN NOT late THEN declined_before >= 3 END AS decline_streak,
    CASE WHEN NOT late THEN COALESCE(card_seconds < 60, FALSE) END AS velocity_card,
    CASE
        WHEN account_id IS NOT NULL AND currency IS NOT NULL AND amount > 0 AND habit_count >= 5
            THEN CAST(amount AS DOUBLE) - habit_mean > 3 * habit_deviation
    END AS amount_deviation,
    CASE
        WHEN NOT late AND user_id IS NOT NULL
            THEN COALESCE(user_seconds < 60, FALSE)
    END AS velocity_user,
    CASE WHEN account_id IS NOT NULL AND country IS NOT NULL THEN new_country END
        AS first_in_country,
    CASE
        WHEN NOT late AND merchant_id IS NOT NULL
            THEN COALESCE(merchant_seconds < 60, FALSE)
    END AS velocity_merchant,
    CASE WHEN version_holds THEN opened_lately END AS young_account
FROM (
    SELECT
        *,
        GREATEST(
            SQRT(GREATEST(habit_squares / habit_count - habit_mean * habit_mean, 0E0)),
            habit_mean / 10
        ) AS habit_deviation
    FROM payment_features
)
