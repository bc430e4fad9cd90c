-- Which payments were made on a stolen card?
-- reads: alert_payments
--
-- Rule: stolen_card, version 1. Each stolen payment once, when its 5 s window closes; one that came
-- after its window had closed at once, with late = true.
-- Constants: window 5 s, aligned to the epoch; texts are cut to the contract's lengths; amounts are
-- rounded half up to the currency's decimals, and null when they are unreadable or longer than the
-- contract's 15 digits before the point.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'PAYMENT_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(rt)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'stolen_card',
            KEY 'rule_version' VALUE 1,
            KEY 'reason' VALUE 'card reported stolen ' || reported_at,
            KEY 'reported_at' VALUE reported_at,
            KEY 'window_start' VALUE ${instant_text(window_5s_start)},
            KEY 'window_end' VALUE ${instant_text(window_5s_end)},
            KEY 'late' VALUE late,
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_id' VALUE SUBSTRING(payment_id, 1, 128),
            KEY 'account_id' VALUE SUBSTRING(account_id, 1, 128),
            KEY 'user_id' VALUE SUBSTRING(user_id, 1, 128),
            KEY 'card_token' VALUE card_token,
            KEY 'card_bin' VALUE SUBSTRING(card_bin, 1, 128),
            KEY 'card_last4' VALUE SUBSTRING(card_last4, 1, 128),
            KEY 'amount' VALUE amount_text,
            KEY 'currency' VALUE SUBSTRING(currency, 1, 128),
            KEY 'merchant_id' VALUE SUBSTRING(merchant_id, 1, 128),
            KEY 'country' VALUE SUBSTRING(country, 1, 128),
            KEY 'city' VALUE SUBSTRING(city, 1, 64),
            KEY 'status' VALUE SUBSTRING(status, 1, 128)
        )
    ) AS record,
    alert_id AS partition_key
FROM (
    SELECT
        *,
        LOWER(SHA2(CONCAT_WS('|', payment_id, card_token, 'stolen_card', '1'), 256)) AS alert_id,
        ${instant_text(effective_from)} AS reported_at
    FROM alert_payments
)
