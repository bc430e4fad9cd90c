-- The statuses, gathered in one place: behind it the watermark is that of all shards.
--
-- A card token that is not the tokenizer's is no card: its payments cannot alert.
SELECT
    card_token,
    status,
    rt AS effective_from,
    judged_at
FROM arrivals
WHERE
    `type` = 'CARD_STATUS'
    AND status IN ('ACTIVE', 'STOLEN')
    AND REGEXP(card_token, '^[0-9a-f]{32}$')
