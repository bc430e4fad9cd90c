-- Question: what does the bank say of an account, by its newest version?

SELECT
    account.account_name,
    account.holder_country,
    account.status,
    account.risk_segment,
    account.credit_limit,
    account.currency,
    account.opened_at,
    account.valid_from
FROM typed.account
WHERE account.account_id = :id
ORDER BY account.valid_from DESC, account.event_date_origin DESC
LIMIT 1;
