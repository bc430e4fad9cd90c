-- Generated from src/cardwatch/rules/file.py by `make contract`: change that, not this file.
--
-- The least that a limit of a rule may be in the row's currency.
SELECT
    CASE
        WHEN currency IN ('KWD') THEN 200
        WHEN currency IN ('CHF', 'EUR', 'GBP', 'USD') THEN 500
        WHEN currency IN ('AUD') THEN 1000
        WHEN currency IN ('PLN') THEN 2000
        WHEN currency IN ('BRL') THEN 3000
        WHEN currency IN ('SEK') THEN 5000
        WHEN currency IN ('INR') THEN 50000
        WHEN currency IN ('JPY') THEN 80000
        ELSE 100
    END
