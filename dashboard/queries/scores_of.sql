-- Question: which payments of one card, account or merchant since a moment are the riskiest, and
-- why?
--
-- ${entity} is card_token, account_id or merchant_id, which indexes find. Else like scores.

SELECT
    attributed_transactions.datetime_occurred AS happened_at,
    attributed_transactions.transaction_id AS payment_id,
    attributed_transactions.risk_score,
    attributed_transactions.factors,
    attributed_transactions.not_judged,
    attributed_transactions.amount,
    attributed_transactions.currency,
    attributed_transactions.status,
    attributed_transactions.card_token,
    attributed_transactions.card_last4,
    attributed_transactions.account_id,
    attributed_transactions.merchant_id,
    attributed_transactions.city,
    attributed_transactions.country
FROM marts.attributed_transactions
WHERE
    attributed_transactions.${entity} = :id
    AND attributed_transactions.datetime_occurred >= :since
    AND attributed_transactions.risk_score >= :minimum
ORDER BY
    attributed_transactions.risk_score DESC,
    attributed_transactions.datetime_occurred DESC,
    attributed_transactions.transaction_id ASC
LIMIT :rows;
