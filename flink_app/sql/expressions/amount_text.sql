-- The amount ${it} as the contract writes it: rounded half up to the currency's minor_unit; without
-- one, to two decimals where that loses nothing, else all four. Null beyond 15 digits before the
-- point.
SELECT
    CASE COALESCE(minor_unit, CASE WHEN ${it} = CAST(${it} AS DECIMAL(17, 2)) THEN 2 ELSE 4 END)
        WHEN 0 THEN CAST(CAST(${it} AS DECIMAL(15, 0)) AS STRING)
        WHEN 2 THEN CAST(CAST(${it} AS DECIMAL(17, 2)) AS STRING)
        WHEN 3 THEN CAST(CAST(${it} AS DECIMAL(18, 3)) AS STRING)
        ELSE CAST(CAST(${it} AS DECIMAL(19, 4)) AS STRING)
    END
