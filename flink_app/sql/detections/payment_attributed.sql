-- What is known of each payment's account, how risky is the payment, and why?
-- reads: scored_payments
-- application: risk_desk
-- stream: scores
--
-- Rule: each payment once, by its first record: late ones and those of unknown accounts too; its
-- copies and later statuses say nothing here. What nothing speaks against is said as it comes.
-- Data (rules.yaml, docs/rules.md): the points of each factor, those of the rule high_score, by the
-- version in force at the payment's time, or when it came late the one of then.
-- Constants: factors and their thresholds, in views/payment_factors.sql. Texts are cut to the
-- contract's lengths; amounts as in payment_alert.sql. Only what needs care is written by
-- JSON_OBJECT: one inside another, or a list in it, is written, read and written again.
SELECT
    '{"type":"PAYMENT_ATTRIBUTED","event_id":"'
    || LOWER(SHA2(CONCAT_WS('|', 'attributed', payment_id, card_token, '1'), 256))
    || '","schema_version":1,"event_date_origin":"'
    || ${instant_text(rt)}
    || '","event_json_data":'
    || TRIM(
        TRAILING '}' FROM JSON_OBJECT(
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
            KEY 'score' VALUE score,
            KEY 'score_version' VALUE score_version,
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)}
        )
    )
    || ',"not_judged":' || not_judged
    || ',"factors":' || factors
    || '}}' AS record,
    card_token AS partition_key
FROM scored_payments
