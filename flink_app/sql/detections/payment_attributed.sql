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
-- contract's lengths; amounts as in payment_alert.sql. Written by hand and not by JSON_OBJECT,
-- which was a sixth of the whole cost, and with one CONCAT, because each || copies all before it.
SELECT
    CONCAT(
        '{"type":"PAYMENT_ATTRIBUTED","event_id":"',
        LOWER(SHA2(CONCAT_WS('|', 'attributed', payment_id, card_token, '1'), 256)),
        '","schema_version":1,"event_date_origin":"',
        ${instant_text(rt)},
        '","event_json_data":{"payment_id":',
        ${json_text(payment_id)},
        ',"card_token":"',
        card_token,
        '","card_last4":',
        ${json_text(card_last4)},
        ',"account_id":',
        ${json_text(account_id)},
        ',"user_id":',
        ${json_text(user_id)},
        ',"merchant_id":',
        ${json_text(merchant_id)},
        ',"amount":',
        ${json_word(amount_text)},
        ',"currency":',
        ${json_text(currency)},
        ',"status":',
        ${json_text(status)},
        ',"country":',
        ${json_text(country)},
        ',"city":',
        ${json_text(city)},
        ',"account_known":',
        CASE WHEN account_known THEN 'true' ELSE 'false' END,
        ',"account_name":',
        ${json_text(account_name)},
        ',"holder_country":',
        ${json_word(holder_country)},
        ',"opened_at":',
        ${json_word(opened_at)},
        ',"credit_limit":',
        ${json_word(credit_limit)},
        ',"account_currency":',
        ${json_word(account_currency)},
        ',"account_status":',
        ${json_word(account_status)},
        ',"risk_segment":',
        ${json_word(risk_segment)},
        ',"account_valid_from":',
        ${json_word(account_valid_from)},
        ',"late":',
        CASE WHEN late THEN 'true' ELSE 'false' END,
        ',"score":',
        CAST(score AS STRING),
        ',"score_version":',
        COALESCE(CAST(score_version AS STRING), 'null'),
        ',"detected_at":"',
        ${instant_text(CURRENT_TIMESTAMP)},
        '","not_judged":',
        not_judged,
        ',"factors":',
        factors,
        '}}'
    ) AS record,
    card_token AS partition_key
FROM scored_payments
