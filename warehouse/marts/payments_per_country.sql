-- Question: how many payments were there each minute in each country?
--
-- Records are counted: a payment that was authorized and then captured is one of either. Amounts
-- are not added up: a country's payments have several currencies.

CREATE OR REPLACE VIEW marts.payments_per_country AS
SELECT
    country_minutes.minute,
    country_minutes.country,
    country_minutes.record_count,
    freshness.lag_seconds
FROM facts.country_minutes
CROSS JOIN marts.freshness;
