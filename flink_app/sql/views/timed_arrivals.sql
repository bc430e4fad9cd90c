-- The arrivals, each with the time at which it may be judged.
--
-- judged_at is the row time from here on: the row's own time, or, for a row that came after the
-- watermark had passed it, the first millisecond after that watermark. So no row is late for what
-- follows, and which statuses judge which payments follows from the order of arrival alone. That
-- includes a shard that fell behind and was taken for idle: the others' watermark ran ahead of it.
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    COALESCE(
        GREATEST(CAST(rt AS TIMESTAMP_LTZ(3)), CURRENT_WATERMARK(rt) + INTERVAL '0.001' SECOND),
        CAST(rt AS TIMESTAMP_LTZ(3))
    ) AS judged_at
FROM arrivals
