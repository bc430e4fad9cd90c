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
    FROM (
        SELECT
            found.*,
            judgement.judged_by,
            judgement.version
        FROM (
            SELECT
                *,
                COALESCE(published, ${spend_over_limit_rule}) AS in_force
            FROM (
                SELECT
                    recent_spend.*,
                    rules_in_force.in_force AS published,
                    rules_in_force.in_shadow
                FROM recent_spend
                LEFT JOIN
                    rules_in_force
                    FOR SYSTEM_TIME AS OF recent_spend.counted_at
                    ON recent_spend.rule_bucket = rules_in_force.rule_bucket
            )
        ) AS found
        CROSS JOIN
            UNNEST(
                ARRAY [ROW('in force', found.in_force), ROW('in shadow', found.in_shadow)]
            ) AS judgement (judged_by, version)
    )
)
WHERE
    amount > CAST(said AS DECIMAL(19, 4))
    AND JSON_VALUE(${settings_of(version)}, '$.state') = 'on'
