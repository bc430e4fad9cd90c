-- The amount ${it} as the contract writes it: rounded half up to the currency's minor_unit; without
-- one, to two decimals where that loses nothing, else all four. Null beyond 15 digits before the
-- point. minor_unit stands here four times: give it as a column that is no expression of its own.
SELECT
    CASE
        WHEN minor_unit = 2 OR (minor_unit IS NULL AND ${it} = CAST(${it} AS DECIMAL(17, 2)))
            THEN CAST(CAST(${it} AS DECIMAL(17, 2)) AS STRING)
        WHEN minor_unit = 0 THEN CAST(CAST(${it} AS DECIMAL(15, 0)) AS STRING)
        WHEN minor_unit = 3 THEN CAST(CAST(${it} AS DECIMAL(18, 3)) AS STRING)
        ELSE CAST(CAST(${it} AS DECIMAL(19, 4)) AS STRING)
    END
