-- Question: what does a bank's analyst see of each payment, its account and its risk?
--
-- marts.attributed_transactions, its first columns, under the bank's schema.

CREATE OR REPLACE VIEW banking.attributed_transactions AS
SELECT
    transaction_id,
    account_id,
    account_name,
    amount,
    currency,
    risk_score,
    datetime_occurred,
    datetime_occured,
    status,
    account_known,
    factors,
    lag_seconds
FROM marts.attributed_transactions;
