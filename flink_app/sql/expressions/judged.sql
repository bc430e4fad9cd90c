-- The rows of ${it}, each with the version of its rule that is in force at counted_at, and once
-- more with the one in shadow, null where there is none. Their rule_bucket says which rule.
SELECT
    (
        SELECT
            found.*,
            judgement.judged_by,
            judgement.version
        FROM (
            SELECT
                *,
                COALESCE(published, ${own_version}) AS in_force
            FROM (
                SELECT
                    ${it}.*,
                    rules_in_force.in_force AS published,
                    rules_in_force.in_shadow
                FROM ${it}
                LEFT JOIN
                    rules_in_force
                    FOR SYSTEM_TIME AS OF ${it}.counted_at
                    ON ${it}.rule_bucket = rules_in_force.rule_bucket
            )
        ) AS found
        CROSS JOIN
            UNNEST(
                ARRAY [ROW('in force', found.in_force), ROW('in shadow', found.in_shadow)]
            ) AS judgement (judged_by, version)
    )
