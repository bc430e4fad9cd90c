-- Since when a payment's card is stolen at the payment's time; null when it is not.
--
-- The newest status that took effect by the payment's time must say STOLEN; of two with the same
-- effective_from, STOLEN wins. The card's newest STOLEN and newest ACTIVE say so, and where a theft
-- was reported again with a time after the payment, the first report and the newest ACTIVE. What
-- three times cannot tell: docs/decisions/0013.
SELECT
    CASE
        WHEN
            stolen_from <= rt
            AND NOT COALESCE(active_from > stolen_from AND active_from <= rt, FALSE)
            THEN stolen_from
        WHEN
            first_stolen_from <= rt
            AND stolen_from > rt
            AND COALESCE(active_from <= first_stolen_from, TRUE)
            THEN first_stolen_from
    END
