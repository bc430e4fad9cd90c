-- What an account has spent above the limit of its currency, by the version in force of the rule
-- spend_over_limit, and by one in shadow.
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
        ${amount_said(version)} AS said
    FROM ${judged(recent_spend)}
)
WHERE
    ${is_on(version)}
    AND amount > CAST(said AS DECIMAL(19, 4))
