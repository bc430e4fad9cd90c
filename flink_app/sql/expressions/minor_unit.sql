-- The decimals of the row's currency, by ISO 4217; null for what has no minor unit there: metals,
-- funds, tokens, and codes that nobody knows. Of those no digit is rounded away. The common ones
-- need no look into the list.
SELECT
    CASE
        WHEN currency IN ('AUD', 'BRL', 'CAD', 'CHF', 'CNY', 'EUR', 'GBP', 'INR', 'USD') THEN 2
        ELSE
            CAST(
                SUBSTRING(
                    ${minor_units},
                    NULLIF(
                        LOCATE(
                            CASE WHEN CHAR_LENGTH(currency) = 3 THEN ' ' || currency END,
                            ${minor_units}
                        ),
                        0
                    ) + 4,
                    1
                ) AS INT
            )
    END
