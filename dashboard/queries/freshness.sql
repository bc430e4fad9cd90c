-- Question: how old is what the marts show?

SELECT
    freshness.as_of,
    freshness.lag_seconds
FROM marts.freshness;
