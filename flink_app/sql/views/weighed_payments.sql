-- Each payment that some factor speaks against with its score and the reasons: by the version in
-- force of the rule high_score, and again by one in shadow.
-- reads: payment_points
-- boundary: none
--
-- The points of what fired, added up, 100 at most; a factor of no points says nothing. Texts are
-- for people: whole seconds, kilometres and hundredths of the currency.
SELECT
    ${payment_said},
    judged_by,
    version,
    LEAST(
        100,
        COALESCE(stolen_card_points, 0)
        + COALESCE(impossible_travel_points, 0)
        + COALESCE(over_limit_points, 0)
        + COALESCE(decline_streak_points, 0)
        + COALESCE(velocity_card_points, 0)
        + COALESCE(amount_deviation_points, 0)
        + COALESCE(velocity_user_points, 0)
        + COALESCE(first_in_country_points, 0)
        + COALESCE(velocity_merchant_points, 0)
        + COALESCE(young_account_points, 0)
    ) AS score,
    CONCAT_WS(
        ', ',
        CASE WHEN stolen_card_points > 0 THEN 'stolen card' END,
        CASE WHEN impossible_travel_points > 0 THEN 'impossible travel' END,
        CASE WHEN over_limit_points > 0 THEN 'over the limit' END,
        CASE WHEN decline_streak_points > 0 THEN 'declined before' END,
        CASE WHEN velocity_card_points > 0 THEN 'many payments of the card' END,
        CASE WHEN amount_deviation_points > 0 THEN 'unusual amount' END,
        CASE WHEN velocity_user_points > 0 THEN 'many payments of the user' END,
        CASE WHEN first_in_country_points > 0 THEN 'first payment in the country' END,
        CASE WHEN velocity_merchant_points > 0 THEN 'many payments at the merchant' END,
        CASE WHEN young_account_points > 0 THEN 'young account' END
    ) AS why,
    ${not_judged} AS not_judged,
    '[' || CONCAT_WS(
        ',',
        CASE
            WHEN stolen_card_points > 0
                THEN
                    ${reason_of(stolen_card)}
                    || '"reported stolen '
                    || ${instant_text(stolen_since)}
                    || '","threshold":"stolen when the payment was made"}'
        END,
        CASE
            WHEN impossible_travel_points > 0
                THEN
                    ${reason_of(impossible_travel)}
                    || '"'
                    || CAST(CAST(ROUND(kilometres, 0) AS BIGINT) AS STRING) || ' km in '
                    || CAST(ABS(apart_ms) / 1000 AS STRING)
                    || ' s","threshold":"900 km/h over more than 100 km"}'
        END,
        CASE
            WHEN over_limit_points > 0
                THEN
                    ${reason_of(over_limit)}
                    || '"'
                    || CAST(CAST(spend AS DECIMAL(38, 2)) AS STRING) || ' ' || account_currency
                    || ' spent","threshold":"limit of '
                    || credit_limit || ' ' || account_currency || '"}'
        END,
        CASE
            WHEN decline_streak_points > 0
                THEN
                    ${reason_of(decline_streak)}
                    || '"'
                    || CAST(declined_before AS STRING)
                    || ' declined before it","threshold":"3 in a row"}'
        END,
        CASE
            WHEN velocity_card_points > 0
                THEN
                    ${reason_of(velocity_card)}
                    || '"6 payments in '
                    || CAST(GREATEST(card_seconds, 0) AS STRING)
                    || ' s","threshold":"more than 5 in 60 s"}'
        END,
        CASE
            WHEN amount_deviation_points > 0
                THEN
                    ${reason_of(amount_deviation)}
                    || JSON_STRING(
                        COALESCE(amount_text, CAST(amount AS STRING)) || ' '
                        || SUBSTRING(currency, 1, 16) || ' after '
                        || CAST(habit_count AS STRING) || ' payments with a mean of '
                        || CAST(CAST(habit_mean AS DECIMAL(19, 2)) AS STRING)
                    )
                    || ',"threshold":"3 deviations of '
                    || CAST(CAST(habit_deviation AS DECIMAL(19, 2)) AS STRING)
                    || ' above the mean"}'
        END,
        CASE
            WHEN velocity_user_points > 0
                THEN
                    ${reason_of(velocity_user)}
                    || '"6 payments in '
                    || CAST(GREATEST(user_seconds, 0) AS STRING)
                    || ' s","threshold":"more than 5 in 60 s"}'
        END,
        CASE
            WHEN first_in_country_points > 0
                THEN
                    ${reason_of(first_in_country)}
                    || JSON_STRING('first payment in ' || SUBSTRING(country, 1, 128))
                    || ',"threshold":"a country that the account paid in before"}'
        END,
        CASE
            WHEN velocity_merchant_points > 0
                THEN
                    ${reason_of(velocity_merchant)}
                    || '"21 payments in '
                    || CAST(GREATEST(merchant_seconds, 0) AS STRING)
                    || ' s","threshold":"more than 20 in 60 s"}'
        END,
        CASE
            WHEN young_account_points > 0
                THEN
                    ${reason_of(young_account)}
                    || '"opened ' || opened_at
                    || '","threshold":"30 days before the payment"}'
        END
    ) || ']' AS factors
FROM payment_points
