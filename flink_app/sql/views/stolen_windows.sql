-- The stolen payments with their 5 s window, and whether it and their part of an hour, 10 s, had
-- closed when they came.
-- reads: stolen
--
-- The watermark here is the one that the row meets: what it does not call late is in time for the
-- windows that follow, so that no payment falls between the two.
-- noqa: all columns of `stolen`, whichever they are.
SELECT
    *, -- noqa: AM04
    window_5s_start + INTERVAL '5' SECOND AS window_5s_end,
    COALESCE(window_5s_start + INTERVAL '4.999' SECOND <= CURRENT_WATERMARK(rt), FALSE) AS late,
    COALESCE(part_start + INTERVAL '9.999' SECOND <= CURRENT_WATERMARK(rt), FALSE) AS part_closed
FROM (
    SELECT
        *,
        second_start - MOD(EXTRACT(SECOND FROM rt), 5) * INTERVAL '1' SECOND AS window_5s_start,
        second_start - MOD(EXTRACT(SECOND FROM rt), 10) * INTERVAL '1' SECOND AS part_start
    FROM (
        SELECT
            *,
            CAST(CAST(rt AS TIMESTAMP_LTZ(0)) AS TIMESTAMP_LTZ(3)) AS second_start
        FROM stolen
    )
)
