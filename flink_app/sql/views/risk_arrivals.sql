-- What the risk score looks at: payments, what is said of their cards, and the versions of their
-- accounts.
-- reads: risk_events
--
-- All three go one way, so that what came first is seen first. A payment is what it is for
-- `arrivals`, under a token of the tokenizer's.
-- sign: what its record does to the account's spend, 1 a charge, -1 a refund, 0 a declined one.
-- place: where the card was read, in 1/10,000 of a degree, latitude + 90 before longitude + 180;
-- null unless entry_mode says that the card was there.
-- version: a version of an account as one text, its parts between tabs, which none of them holds;
-- its first part is valid_from, so that the greatest text is the newest version, however often and
-- in whichever order versions come. An ACCOUNT that breaks the contract is none: the patterns are
-- those of src/cardwatch/contract/account.py, so that no holder's full name gets through.
SELECT
    rt,
    CASE WHEN `type` = 'CARD_STATUS' THEN status END AS card_status,
    CASE
        WHEN `type` = 'ACCOUNT'
            THEN
                CONCAT_WS(
                    CHR(9),
                    ${instant_text(rt)},
                    ${instant_text(opened)},
                    ${instant_text(spent_by)},
                    currency,
                    credit_limit,
                    spent,
                    status,
                    risk_segment,
                    holder_country,
                    account_name
                )
    END AS version,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_last4,
    amount,
    CASE WHEN `type` = 'PAYMENT_EVENT' THEN currency END AS currency,
    merchant_id,
    country,
    city,
    CASE WHEN `type` = 'PAYMENT_EVENT' THEN status END AS status,
    CASE
        WHEN `type` <> 'PAYMENT_EVENT' OR status = 'DECLINED' THEN 0
        WHEN status = 'REFUNDED' THEN -1
        ELSE 1
    END AS sign,
    CASE
        WHEN
            entry_mode IN ('CHIP', 'CONTACTLESS', 'MAGSTRIPE', 'KEYED')
            AND REGEXP(latitude, '^-?(90([.]0{1,6})?|[1-8]?[0-9]([.][0-9]{1,6})?)\z')
            AND REGEXP(
                longitude,
                '^-?(180([.]0{1,6})?|(1[0-7][0-9]|[1-9]?[0-9])([.][0-9]{1,6})?)\z'
            )
            THEN
                CAST((CAST(latitude AS DECIMAL(8, 4)) + 90) * 10000 AS BIGINT) * 10000000
                + CAST((CAST(longitude AS DECIMAL(8, 4)) + 180) * 10000 AS BIGINT)
    END AS place,
    COALESCE(entry_mode IN ('ECOMMERCE', 'MAIL_OR_TELEPHONE', 'RECURRING'), FALSE) AS card_absent
FROM risk_events
WHERE
    (
        `type` = 'PAYMENT_EVENT'
        AND payment_id IS NOT NULL
        AND REGEXP(card_token, '^[0-9a-f]{32}$')
    )
    OR (
        `type` = 'CARD_STATUS'
        AND status IN ('ACTIVE', 'STOLEN')
        AND REGEXP(card_token, '^[0-9a-f]{32}$')
    )
    OR (
        `type` = 'ACCOUNT'
        AND account_id IS NOT NULL
        AND COALESCE(payment_id, card_token, user_id, merchant_id, country) IS NULL
        AND REGEXP(account_name, '(?U)^[^\s*0-9]\*+( [^\s*0-9]\*+)*\z')
        AND CHAR_LENGTH(account_name) <= 64
        AND REGEXP(holder_country, '^[A-Z]{2}\z')
        AND REGEXP(currency, '^[A-Z]{3}\z')
        AND REGEXP(credit_limit, '^[0-9]{1,15}([.][0-9]{1,4})?\z')
        AND REGEXP(spent, '^-?[0-9]{1,15}([.][0-9]{1,4})?\z')
        AND status IN ('ACTIVE', 'BLOCKED', 'CLOSED')
        AND risk_segment IN ('LOW', 'MEDIUM', 'HIGH')
        AND opened <= rt
        AND spent_by <= rt
    )
