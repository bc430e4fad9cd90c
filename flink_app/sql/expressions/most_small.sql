-- Generated from src/cardwatch/rules/file.py by `make contract`: change that, not this file.
--
-- The most that a small amount may be in the row's currency.
SELECT
    CASE
        WHEN currency IN ('KWD') THEN 3
        WHEN currency IN ('CHF', 'EUR', 'GBP', 'USD') THEN 10
        WHEN currency IN ('AUD') THEN 16
        WHEN currency IN ('PLN') THEN 40
        WHEN currency IN ('BRL') THEN 60
        WHEN currency IN ('SEK') THEN 110
        WHEN currency IN ('INR') THEN 900
        WHEN currency IN ('JPY') THEN 1600
        ELSE 10
    END
