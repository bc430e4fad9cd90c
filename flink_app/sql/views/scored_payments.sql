-- Each payment with its score, and the reasons as JSON: what fired, what was observed, and what
-- could not be judged.
-- reads: payment_factors
-- boundary: none
--
-- Score version 1: the points below, added up, 100 at most. Texts are for people: whole seconds,
-- kilometres and hundredths of the currency.
SELECT
    rt,
    late,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_last4,
    amount_text,
    currency,
    merchant_id,
    country,
    SUBSTRING(city, 1, 64) AS city,
    status,
    account_known,
    account_valid_from,
    opened_at,
    account_currency,
    credit_limit,
    account_status,
    risk_segment,
    holder_country,
    account_name,
    LEAST(
        100,
        CASE WHEN stolen_card THEN 60 ELSE 0 END
        + CASE WHEN impossible_travel THEN 40 ELSE 0 END
        + CASE WHEN over_limit THEN 30 ELSE 0 END
        + CASE WHEN decline_streak THEN 30 ELSE 0 END
        + CASE WHEN velocity_card THEN 25 ELSE 0 END
        + CASE WHEN amount_deviation THEN 25 ELSE 0 END
        + CASE WHEN velocity_user THEN 20 ELSE 0 END
        + CASE WHEN first_in_country THEN 15 ELSE 0 END
        + CASE WHEN velocity_merchant THEN 10 ELSE 0 END
        + CASE WHEN young_account THEN 10 ELSE 0 END
    ) AS score,
    CONCAT_WS(
        ', ',
        CASE WHEN stolen_card THEN 'stolen card' END,
        CASE WHEN impossible_travel THEN 'impossible travel' END,
        CASE WHEN over_limit THEN 'over the limit' END,
        CASE WHEN decline_streak THEN 'declined before' END,
        CASE WHEN velocity_card THEN 'many payments of the card' END,
        CASE WHEN amount_deviation THEN 'unusual amount' END,
        CASE WHEN velocity_user THEN 'many payments of the user' END,
        CASE WHEN first_in_country THEN 'first payment in the country' END,
        CASE WHEN velocity_merchant THEN 'many payments at the merchant' END,
        CASE WHEN young_account THEN 'young account' END
    ) AS why,
    '[' || CONCAT_WS(
        ',',
        CASE WHEN stolen_card IS NULL THEN '"stolen_card"' END,
        CASE WHEN impossible_travel IS NULL THEN '"impossible_travel"' END,
        CASE WHEN over_limit IS NULL THEN '"over_limit"' END,
        CASE WHEN decline_streak IS NULL THEN '"decline_streak"' END,
        CASE WHEN velocity_card IS NULL THEN '"velocity_card"' END,
        CASE WHEN amount_deviation IS NULL THEN '"amount_deviation"' END,
        CASE WHEN velocity_user IS NULL THEN '"velocity_user"' END,
        CASE WHEN first_in_country IS NULL THEN '"first_in_country"' END,
        CASE WHEN velocity_merchant IS NULL THEN '"velocity_merchant"' END,
        CASE WHEN young_account IS NULL THEN '"young_account"' END
    ) || ']' AS not_judged,
    '[' || CONCAT_WS(
        ',',
        CASE
            WHEN stolen_card
                THEN
                    '{"factor":"stolen_card","points":60,"observed":"reported stolen '
                    || ${instant_text(stolen_since)}
                    || '","threshold":"stolen when the payment was made"}'
        END,
        CASE
            WHEN impossible_travel
                THEN
                    '{"factor":"impossible_travel","points":40,"observed":"'
                    || CAST(CAST(ROUND(kilometres, 0) AS BIGINT) AS STRING) || ' km in '
                    || CAST(ABS(apart_ms) / 1000 AS STRING)
                    || ' s","threshold":"900 km/h over more than 100 km"}'
        END,
        CASE
            WHEN over_limit
                THEN
                    '{"factor":"over_limit","points":30,"observed":"'
                    || CAST(CAST(spend AS DECIMAL(38, 2)) AS STRING) || ' ' || account_currency
                    || ' spent","threshold":"limit of '
                    || credit_limit || ' ' || account_currency || '"}'
        END,
        CASE
            WHEN decline_streak
                THEN
                    '{"factor":"decline_streak","points":30,"observed":"'
                    || CAST(declined_before AS STRING)
                    || ' declined before it","threshold":"3 in a row"}'
        END,
        CASE
            WHEN velocity_card
                THEN
                    '{"factor":"velocity_card","points":25,"observed":"6 payments in '
                    || CAST(GREATEST(card_seconds, 0) AS STRING)
                    || ' s","threshold":"more than 5 in 60 s"}'
        END,
        CASE
            WHEN amount_deviation
                THEN
                    '{"factor":"amount_deviation","points":25,"observed":'
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
            WHEN velocity_user
                THEN
                    '{"factor":"velocity_user","points":20,"observed":"6 payments in '
                    || CAST(GREATEST(user_seconds, 0) AS STRING)
                    || ' s","threshold":"more than 5 in 60 s"}'
        END,
        CASE
            WHEN first_in_country
                THEN
                    '{"factor":"first_in_country","points":15,"observed":'
                    || JSON_STRING('first payment in ' || SUBSTRING(country, 1, 128))
                    || ',"threshold":"a country that the account paid in before"}'
        END,
        CASE
            WHEN velocity_merchant
                THEN
                    '{"factor":"velocity_merchant","points":10,"observed":"21 payments in '
                    || CAST(GREATEST(merchant_seconds, 0) AS STRING)
                    || ' s","threshold":"more than 20 in 60 s"}'
        END,
        CASE
            WHEN young_account
                THEN
                    '{"factor":"young_account","points":10,"observed":"opened ' || opened_at
                    || '","threshold":"30 days before the payment"}'
        END
    ) || ']' AS factors
FROM payment_factors
