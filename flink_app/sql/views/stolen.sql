-- Payments on a card that is stolen at the payment's time, each payment once: what the detections
-- of stolen cards read.
-- reads: judged_payments
-- boundary: rt
--
-- A payment is its payment_id and its card. Of its records the first that was judged stolen counts;
-- they come here in the order of their shard, so processing time is enough to take the first; by
-- event time Flink would drop what it holds for late.
-- amount: null where it is no number, or has more than the contract's 15 digits before the point,
-- rounded. It is text up to here and read only when it is short and its exponent small: a number
-- like 1e100000000 would otherwise be written out digit by digit.
-- decimals: ISO 4217's minor unit of the currency, the one list of them in the job.
SELECT
    rt,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    CASE WHEN ABS(readable_amount) < 999999999999999.5 THEN readable_amount END AS amount,
    currency,
    CASE
        WHEN currency IN (
            'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI',
            'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) THEN 0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
        WHEN currency IN ('CLF', 'UYW') THEN 4
        ELSE 2
    END AS decimals,
    merchant_id,
    country,
    city,
    status,
    effective_from
FROM (
    SELECT
        *,
        TRY_CAST(
            CASE
                WHEN
                    CHAR_LENGTH(amount) <= 40
                    AND REGEXP(
                        amount, '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$'
                    )
                    THEN amount
            END AS DECIMAL(19, 4)
        ) AS readable_amount,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id, card_token ORDER BY arrived_at
        ) AS record_number
    FROM judged_payments
)
WHERE record_number = 1
