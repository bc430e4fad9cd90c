-- Question: what did payments with stolen cards cost, per currency?
--
-- attempted is what was asked for, cost what is gone in the end: each payment counts once, by its
-- newest status. Currencies are never added together.

CREATE OR REPLACE VIEW marts.stolen_payment_costs AS
SELECT
    totals.currency,
    totals.payments,
    totals.declined,
    totals.refunded,
    totals.attempted,
    totals.cost,
    freshness.lag_seconds
FROM (
    SELECT
        currency,
        COUNT(*) AS payments,
        SUM(CASE WHEN status = 'DECLINED' THEN 1 ELSE 0 END) AS declined,
        SUM(CASE WHEN status = 'REFUNDED' THEN 1 ELSE 0 END) AS refunded,
        SUM(amount) AS attempted,
        SUM(cost) AS cost
    FROM facts.stolen_payments
    GROUP BY currency
) AS totals
CROSS JOIN marts.freshness;
