-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- What the factor ${it} adds to the payment's score by the rule's version
-- (views/rule_versions.sql); null where it does not speak against the payment or has no points.
SELECT
    CASE
        WHEN ${it}
            THEN
                NULLIF(
                    CAST(
                        SUBSTRING(
                            version,
                            CASE '${it}'
                                WHEN 'stolen_card' THEN 40
                                WHEN 'impossible_travel' THEN 43
                                WHEN 'over_limit' THEN 46
                                WHEN 'decline_streak' THEN 49
                                WHEN 'velocity_card' THEN 52
                                WHEN 'amount_deviation' THEN 55
                                WHEN 'velocity_user' THEN 58
                                WHEN 'first_in_country' THEN 61
                                WHEN 'velocity_merchant' THEN 64
                                WHEN 'young_account' THEN 67
                            END,
                            3
                        ) AS INT
                    ),
                    0
                )
    END
