-- Which accounts spend more within minutes than they may?
-- reads: judged_spend
-- application: risk_desk
-- boundary: none
-- lifetime: 2 h
--
-- Rule: spend_over_limit. The sum of an account's payments in one currency within the
-- ten minutes up to each of them, the full ten minutes included, is above the currency's limit.
-- Declined attempts do not count, and a refund gives nothing back: money that went out and came
-- back within ten minutes is unusual too. Currencies are never added together.
-- Once per breach, and again where it passes a step that it had not reached, half as much again: at
-- 1.5, 2.25, … up to 17 times the limit. A breach is over as soon as the sum is at or below the
-- limit, also where only time passed: what is left of the ten minutes when the next payment comes
-- says so, for until then the sum only falls.
-- A payment that came late counts as of when it came. Payments that count at one millisecond come
-- together, after what leaves the ten minutes then: one sum and one alert, named after the last.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, the limits; a currency that is
-- not listed has none. Each payment is held against the version in force then, its step too. A
-- breach is also over with a payment that the version of its time allows, or that came while the
-- rule was off.
-- Constants: 10 min and the steps. Kept: an account's payments of ten minutes; for two hours its
-- last five, when its last breach began, and the highest step of each. paid_before: the payment
-- before these; while the sum stays above one limit it is the one that was judged last.
SELECT
    ${rule_alert(spend_over_limit)} AS record,
    entity_id AS partition_key
FROM (
    SELECT
        *,
        ${rule_alert_id(spend_over_limit)} AS alert_id
    FROM (
        SELECT
            happened_at,
            rule_version,
            settings,
            'account' AS entity_kind,
            account_id AS entity_id,
            CAST(NULL AS STRING) AS card_last4,
            currency,
            ${amount_text(amount)} AS observed,
            said AS threshold,
            CAST(payments AS STRING)
            || CASE WHEN payments = 1 THEN ' payment' ELSE ' payments' END
            || ' of together ' || COALESCE(${amount_text(amount)}, 'more than 15 digits of')
            || ' ' || currency
            || ' within 10 min, above the limit of ' || said
            || ' ' || currency AS explanation,
            counted_at - INTERVAL '10' MINUTE AS window_start,
            counted_at + INTERVAL '0.001' SECOND AS window_end,
            payment_id AS first_payment_id,
            JSON_ARRAY(
                SUBSTRING(payment_id, 1, 128),
                CASE WHEN payments > 1 THEN SUBSTRING(id_1, 1, 128) END,
                CASE WHEN payments > 2 THEN SUBSTRING(id_2, 1, 128) END,
                CASE WHEN payments > 3 THEN SUBSTRING(id_3, 1, 128) END,
                CASE WHEN payments > 4 THEN SUBSTRING(id_4, 1, 128) END
                ABSENT ON NULL
            ) AS payment_ids,
            payments AS payment_count
        FROM (
            SELECT
                *,
                ${minor_unit} AS minor_unit,
                ${settings_of(version)} AS settings,
                ${version_of(version)} AS rule_version,
                LAG(highest, 1) OVER (
                    PARTITION BY account_id, currency, judged_by, began_at ORDER BY risen_at
                ) AS highest_before
            FROM (
                SELECT
                    *,
                    PROCTIME() AS risen_at,
                    MAX(step) OVER (
                        PARTITION BY account_id, currency, judged_by, began_at ORDER BY stepped_at
                    ) AS highest
                FROM (
                    SELECT
                        *,
                        PROCTIME() AS stepped_at,
                        LAST_VALUE(
                            CASE
                                WHEN
                                    amount - paid <= threshold
                                    OR COALESCE(paid_before <> judged_before, TRUE)
                                    THEN counted_at
                            END
                        ) OVER (
                            PARTITION BY account_id, currency, judged_by ORDER BY ordered_at
                        ) AS began_at,
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
                            PROCTIME() AS ordered_at,
                            LAG(payment_id, 1) OVER (
                                PARTITION BY account_id, currency, judged_by ORDER BY judged_at
                            ) AS judged_before
                        FROM (
                            -- What counts at one millisecond, as one; its last payment has the
                            -- others of the ten minutes before it.
                            SELECT
                                CAST(window_start AS TIMESTAMP_LTZ(3)) AS counted_at,
                                account_id,
                                currency,
                                judged_by,
                                MAX(version) AS version,
                                MAX(said) AS said,
                                CAST(MAX(said) AS DECIMAL(19, 4)) AS threshold,
                                MAX(amount) AS amount,
                                MAX(payments) AS payments,
                                SUM(paid) AS paid,
                                LAST_VALUE(happened_at) AS happened_at,
                                LAST_VALUE(payment_id) AS payment_id,
                                FIRST_VALUE(id_1) AS paid_before,
                                LAST_VALUE(id_1) AS id_1,
                                LAST_VALUE(id_2) AS id_2,
                                LAST_VALUE(id_3) AS id_3,
                                LAST_VALUE(id_4) AS id_4,
                                PROCTIME() AS judged_at
                            FROM
                                TABLE(
                                    TUMBLE(
                                        TABLE judged_spend,
                                        DESCRIPTOR (counted_at),
                                        INTERVAL '0.001' SECOND
                                    )
                                )
                            GROUP BY window_start, window_end, account_id, currency, judged_by
                        )
                    )
                )
            )
        )
        WHERE highest > COALESCE(highest_before, -1)
    )
)
