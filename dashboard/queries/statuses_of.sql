-- Question: what was reported of a card, and from when on does it hold?
--
-- The whole registry is published again and again; each status counts once.

SELECT
    card_status.effective_from AS happened_at,
    card_status.status,
    card_status.reason,
    card_status.card_last4
FROM typed.card_status
WHERE card_status.card_token = :id
GROUP BY
    card_status.effective_from,
    card_status.status,
    card_status.reason,
    card_status.card_last4
ORDER BY card_status.effective_from DESC, card_status.status ASC
LIMIT :rows;
