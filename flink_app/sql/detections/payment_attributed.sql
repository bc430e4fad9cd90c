-- What is known of each payment's account, how risky is the payment, and why?
-- reads: scored_payments
-- application: risk_desk
-- stream: scores
--
-- Rule: score version 1. Each payment once, as its first record comes: late ones and those of
-- unknown accounts too; its copies and later statuses say nothing here.
-- Constants: factors and thresholds stand in views/payment_factors.sql, points in
-- views/scored_payments.sql. Texts are cut to the contract's lengths; amounts as in
-- payment_alert.sql.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'PAYMENT_ATTRIBUTED',
        KEY 'event_id' VALUE LOWER(
            SHA2(CONCAT_WS('|', 'attributed', payment_id, card_token, '1'), 256)
        ),
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(rt)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'payment_id' VALUE SUBSTRING(payment_id, 1, 128),
            KEY 'card_token' VALUE card_token,
            KEY 'card_last4' VALUE SUBSTRING(card_last4, 1, 128),
            KEY 'account_id' VALUE SUBSTRING(account_id, 1, 128),
            KEY 'user_id' VALUE SUBSTRING(user_id, 1, 128),
            KEY 'merchant_id' VALUE SUBSTRING(merchant_id, 1, 128),
            KEY 'amount' VALUE amount_text,
            KEY 'currency' VALUE SUBSTRING(currency, 1, 128),
            KEY 'status' VALUE SUBSTRING(status, 1, 128),
            KEY 'country' VALUE SUBSTRING(country, 1, 128),
            KEY 'city' VALUE SUBSTRING(city, 1, 64),
            KEY 'account_known' VALUE account_known,
            KEY 'account_name' VALUE account_name,
            KEY 'holder_country' VALUE holder_country,
            KEY 'opened_at' VALUE opened_at,
            KEY 'credit_limit' VALUE credit_limit,
            KEY 'account_currency' VALUE account_currency,
            KEY 'account_status' VALUE account_status,
            KEY 'risk_segment' VALUE risk_segment,
            KEY 'account_valid_from' VALUE account_valid_from,
            KEY 'late' VALUE late,
            KEY 'not_judged' VALUE JSON(not_judged),
            KEY 'score' VALUE score,
            KEY 'score_version' VALUE 1,
            KEY 'factors' VALUE JSON(factors),
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)}
        )
    ) AS record,
    card_token AS partition_key
FROM scored_payments
