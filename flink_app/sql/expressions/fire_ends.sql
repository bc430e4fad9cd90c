-- When what was counted for the fire at ${it} is taken away again: right after it; null at the full
-- ten minutes, where adding up starts anew.
SELECT
    CASE
        WHEN EXTRACT(SECOND FROM ${it}) > 0 OR MOD(EXTRACT(MINUTE FROM ${it}), 10) > 0
            THEN CAST(${it} AS TIMESTAMP_LTZ(3))
    END
