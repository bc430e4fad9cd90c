-- Question: how risky is each payment, why, and whose account does it charge?
--
-- One row per payment that was scored, by its first record. account_name: the holder, masked; null
-- like the account's other columns while account_known is false. factors: a JSON list of what
-- speaks against the payment, each with its points, what was observed and the threshold;
-- not_judged: one of the factors that could not be judged. late: the payment came after the
-- watermark had passed it. datetime_occured is datetime_occurred under the name that old queries
-- have.

CREATE OR REPLACE VIEW marts.attributed_transactions AS
SELECT
    attributed.payment_id AS transaction_id,
    attributed.account_id,
    attributed.account_name,
    attributed.amount,
    attributed.currency,
    attributed.score AS risk_score,
    attributed.event_date_origin AS datetime_occurred,
    attributed.event_date_origin AS datetime_occured,
    attributed.status,
    attributed.card_token,
    attributed.card_last4,
    attributed.user_id,
    attributed.merchant_id,
    attributed.country,
    attributed.city,
    attributed.account_known,
    attributed.holder_country,
    attributed.account_status,
    attributed.risk_segment,
    attributed.late,
    attributed.factors,
    attributed.not_judged,
    attributed.score_version,
    attributed.detected_at,
    freshness.lag_seconds
FROM typed.payment_attributed AS attributed
CROSS JOIN marts.freshness;
