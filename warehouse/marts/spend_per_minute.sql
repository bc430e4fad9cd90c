-- Question: what was paid each minute, per currency and status?
--
-- Records are counted: a payment that was authorized and then captured is one of either.

CREATE OR REPLACE VIEW marts.spend_per_minute AS
SELECT
    spend_minutes.minute,
    spend_minutes.currency,
    spend_minutes.status,
    spend_minutes.record_count,
    spend_minutes.amount,
    freshness.lag_seconds
FROM facts.spend_minutes
CROSS JOIN marts.freshness;
