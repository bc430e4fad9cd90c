-- The stolen payments with their 5 s window, and whether it had closed when they came.
-- reads: stolen
--
-- The watermark here is the one that the row meets: what it does not call late is in time for the
-- window, so that no payment falls between the two.
-- noqa: all columns of `stolen`, whichever they are.
SELECT
    *, -- noqa: AM04
    window_5s_start + INTERVAL '5' SECOND AS window_5s_end,
    COALESCE(window_5s_start + INTERVAL '4.999' SECOND <= CURRENT_WATERMARK(rt), FALSE) AS late
FROM (
    SELECT
        *,
        CAST(CAST(rt AS TIMESTAMP_LTZ(0)) AS TIMESTAMP_LTZ(3))
        - MOD(EXTRACT(SECOND FROM rt), 5) * INTERVAL '1' SECOND AS window_5s_start
    FROM stolen
)
