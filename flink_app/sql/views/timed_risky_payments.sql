-- Payments that some factor speaks against, with a row time that is late for nothing, as
-- timed_large_payments has it: one that came behind the watermark is scored by the points of then.
-- reads: risky_payments
-- boundary: counted_at
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    ${late_for_nothing} AS counted_at,
    'high_score|' || ${bucket(card_token)} AS rule_bucket
FROM risky_payments
