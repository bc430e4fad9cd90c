-- The statuses, none behind the watermark of all shards.
--
-- When a shard falls behind and is taken for idle, the other shards' watermark runs ahead of it; a
-- status from it is then judged from that watermark on instead of being dropped as late.
SELECT
    card_token,
    status,
    effective_from,
    COALESCE(
        GREATEST(
            CAST(judged_at AS TIMESTAMP_LTZ(3)),
            CURRENT_WATERMARK(judged_at) + INTERVAL '0.001' SECOND
        ),
        CAST(judged_at AS TIMESTAMP_LTZ(3))
    ) AS judged_at
FROM status_arrivals
