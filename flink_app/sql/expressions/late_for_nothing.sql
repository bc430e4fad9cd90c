-- The row time rt, or where the row came behind the watermark the moment right behind that: so no
-- window drops it.
SELECT
    CAST(
        GREATEST(
            rt, COALESCE(CURRENT_WATERMARK(rt) + INTERVAL '0.001' SECOND, rt)
        ) AS TIMESTAMP_LTZ(3)
    )
