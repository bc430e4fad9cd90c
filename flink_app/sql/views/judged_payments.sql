-- Payments on a card that is stolen at the payment's time.
-- reads: card_history
--
-- The newest status that took effect by the payment's time must say STOLEN; of two with the same
-- effective_from, STOLEN wins. The card's newest STOLEN and newest ACTIVE say so, and where a theft
-- was reported again with a time after the payment, the first report and the newest ACTIVE. What
-- three times cannot tell: docs/decisions/0013.
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    CASE WHEN stolen_from <= rt THEN stolen_from ELSE first_stolen_from END AS effective_from
FROM card_history
WHERE
    card_status IS NULL
    AND (
        (
            stolen_from <= rt
            AND NOT COALESCE(active_from > stolen_from AND active_from <= rt, FALSE)
        )
        OR (
            first_stolen_from <= rt
            AND stolen_from > rt
            AND COALESCE(active_from <= first_stolen_from, TRUE)
        )
    )
