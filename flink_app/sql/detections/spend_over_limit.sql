-- Which accounts spend more within minutes than they may?
-- reads: timed_attempts
-- application: risk_desk
--
-- Rule: spend_over_limit, version 1. The sum of an account's payments in one currency within the
-- ten minutes up to each of them is above the currency's limit. Declined attempts do not count, and
-- a refund gives nothing back: money that went out and came back within ten minutes is unusual too.
-- Once per breach, and again where it passes the next step, half as much again: at 1.5, 2.25, … up
-- to 17 times the limit. A breach ends when the sum is at or below the limit. Currencies are never
-- added together. A payment that came late counts as of when it came.
-- Constants: 10 min, the limits below, about 3,000 euro each; a currency that is not listed has
-- none. Severity high. Kept: an account's payments of ten minutes; its last five and its breaches,
-- for good.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'spend_over_limit',
            KEY 'rule_version' VALUE 1,
            KEY 'severity' VALUE 'high',
            KEY 'entity_kind' VALUE 'account',
            KEY 'entity_id' VALUE account_id,
            KEY 'card_last4' VALUE CAST(NULL AS STRING),
            KEY 'currency' VALUE currency,
            KEY 'observed' VALUE observed,
            KEY 'threshold' VALUE CAST(threshold AS STRING),
            KEY 'explanation' VALUE CAST(payments AS STRING)
            || CASE WHEN payments = 1 THEN ' payment' ELSE ' payments' END
            || ' of together ' || COALESCE(observed, 'more than 15 digits of') || ' ' || currency
            || ' within 10 min, above the limit of ' || CAST(threshold AS STRING)
            || ' ' || currency,
            KEY 'window_start' VALUE ${instant_text(window_start)},
            KEY 'window_end' VALUE ${instant_text(window_end)},
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(
                SUBSTRING(payment_id, 1, 128),
                CASE WHEN payments > 1 THEN SUBSTRING(id_1, 1, 128) END,
                CASE WHEN payments > 2 THEN SUBSTRING(id_2, 1, 128) END,
                CASE WHEN payments > 3 THEN SUBSTRING(id_3, 1, 128) END,
                CASE WHEN payments > 4 THEN SUBSTRING(id_4, 1, 128) END
                ABSENT ON NULL
            ),
            KEY 'payment_count' VALUE payments
        )
    ) AS record,
    account_id AS partition_key
FROM (
    SELECT
        *,
        ${amount_text} AS observed,
        counted_at - INTERVAL '10' MINUTE AS window_start,
        counted_at + INTERVAL '0.001' SECOND AS window_end,
        LOWER(
            SHA2(
                CONCAT_WS(
                    '|', 'spend_over_limit', '1', 'account', account_id, currency, payment_id
                ),
                256
            )
        ) AS alert_id
    FROM (
        SELECT
            *,
            ROW_NUMBER() OVER (
                PARTITION BY account_id, currency, breach, step ORDER BY stepped_at
            ) AS alert_number
        FROM (
            SELECT
                *,
                PROCTIME() AS stepped_at,
                CASE
                    WHEN amount > threshold * 17.0859375 THEN 7
                    WHEN amount > threshold * 11.390625 THEN 6
                    WHEN amount > threshold * 7.59375 THEN 5
                    WHEN amount > threshold * 5.0625 THEN 4
                    WHEN amount > threshold * 3.375 THEN 3
                    WHEN amount > threshold * 2.25 THEN 2
                    WHEN amount > threshold * 1.5 THEN 1
                    ELSE 0
                END AS step
            FROM (
                SELECT
                    *,
                    LAST_VALUE(
                        CASE WHEN COALESCE(amount_before, 0) <= threshold THEN payment_id END
                    ) OVER breaches AS breach
                FROM (
                    SELECT
                        *,
                        PROCTIME() AS judged_at,
                        LAG(amount, 1) OVER so_far AS amount_before,
                        LAG(payment_id, 1) OVER so_far AS id_1,
                        LAG(payment_id, 2) OVER so_far AS id_2,
                        LAG(payment_id, 3) OVER so_far AS id_3,
                        LAG(payment_id, 4) OVER so_far AS id_4
                    FROM (
                        SELECT
                            happened_at,
                            CAST(counted_at AS TIMESTAMP_LTZ(3)) AS counted_at,
                            account_id,
                            currency,
                            minor_unit,
                            threshold,
                            payment_id,
                            CAST(SUM(amount) OVER last_minutes AS DECIMAL(19, 4)) AS amount,
                            COUNT(*) OVER last_minutes AS payments,
                            PROCTIME() AS seen_at
                        FROM (
                            SELECT
                                *,
                                ${minor_unit} AS minor_unit,
                                CASE
                                    WHEN currency IN ('CHF', 'EUR', 'USD') THEN 3000
                                    WHEN currency = 'GBP' THEN 2600
                                    WHEN currency = 'KWD' THEN 1000
                                    WHEN currency = 'AUD' THEN 5100
                                    WHEN currency = 'PLN' THEN 13000
                                    WHEN currency = 'BRL' THEN 18000
                                    WHEN currency = 'SEK' THEN 34000
                                    WHEN currency = 'INR' THEN 285000
                                    WHEN currency = 'JPY' THEN 500000
                                END AS threshold
                            FROM timed_attempts
                            WHERE
                                NOT declined
                                AND amount > 0
                                AND CHAR_LENGTH(account_id) BETWEEN 1 AND 128
                        )
                        WHERE threshold IS NOT NULL
                        WINDOW last_minutes AS (
                            PARTITION BY account_id, currency
                            ORDER BY counted_at
                            RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
                        )
                    )
                    WINDOW so_far AS (PARTITION BY account_id, currency ORDER BY seen_at)
                )
                WHERE amount > threshold
                WINDOW breaches AS (PARTITION BY account_id, currency ORDER BY judged_at)
            )
        )
    )
    WHERE alert_number = 1
)
