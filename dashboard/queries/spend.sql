-- Question: what was paid since a moment, per currency and status?

SELECT
    spend_per_minute.currency,
    spend_per_minute.status,
    SUM(spend_per_minute.record_count) AS record_count,
    SUM(spend_per_minute.amount) AS amount
FROM marts.spend_per_minute
WHERE spend_per_minute.minute >= :since
GROUP BY spend_per_minute.currency, spend_per_minute.status
ORDER BY spend_per_minute.currency ASC, spend_per_minute.status ASC;
