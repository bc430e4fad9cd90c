-- What an account has spent above the limit of its currency, by the version in force of the rule
-- spend_over_limit, and by one in shadow, within that version's window. One that is not listed here
-- finds nothing; the list is that of src/cardwatch/rules/file.py.
-- reads: recent_spend, rules_in_force
-- boundary: counted_at
SELECT
    CAST(counted_at AS TIMESTAMP_LTZ(3)) AS counted_at,
    happened_at,
    account_id,
    currency,
    payment_id,
    paid,
    amount,
    payments,
    id_1,
    id_2,
    id_3,
    id_4,
    version,
    judged_by,
    said
FROM (
    SELECT
        *,
        ${amount_said(version)} AS said,
        CASE ${window_of(version)}
            WHEN 300 THEN amount_5
            WHEN 600 THEN amount_10
            WHEN 1800 THEN amount_30
        END AS amount,
        CASE ${window_of(version)}
            WHEN 300 THEN payments_5
            WHEN 600 THEN payments_10
            WHEN 1800 THEN payments_30
        END AS payments
    FROM ${judged(recent_spend)}
)
WHERE
    ${is_on(version)}
    AND amount > CAST(said AS DECIMAL(19, 4))
