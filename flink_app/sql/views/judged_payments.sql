-- Payments on a card that is stolen at the payment's time.
-- reads: card_history
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    ${stolen_since} AS effective_from
FROM card_history
WHERE card_status IS NULL AND ${stolen_since} IS NOT NULL
