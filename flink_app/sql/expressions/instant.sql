-- The instant that a text says: ISO-8601 with seconds, 0 to 9 digits of a fraction, and Z or an
-- offset, cut to milliseconds; null for anything else, and for a day that its month does not have.
--
-- The pattern is the contract's (src/cardwatch/contract/fields.py), so that the job reads what the
-- stager stages. By arithmetic: Flink's json format and its casts take Z alone, or days that do not
-- exist, and cost more.
SELECT
    CASE
        WHEN
            REGEXP(
                ${it},
                '^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?'
                || '(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))\z'
            )
            THEN TO_TIMESTAMP_LTZ(
                1000 * (
                    EXTRACT(EPOCH FROM TRY_CAST(SUBSTRING(${it}, 1, 10) AS DATE))
                    + 3600 * CAST(SUBSTRING(${it}, 12, 2) AS INT)
                    + 60 * CAST(SUBSTRING(${it}, 15, 2) AS INT)
                    + CAST(SUBSTRING(${it}, 18, 2) AS INT)
                    - CASE
                        WHEN ${it} LIKE '%Z' THEN 0
                        ELSE
                            CAST(SUBSTRING(${it}, CHAR_LENGTH(${it}) - 5, 1) || '1' AS INT)
                            * (
                                3600 * CAST(SUBSTRING(${it}, CHAR_LENGTH(${it}) - 4, 2) AS INT)
                                + 60 * CAST(SUBSTRING(${it}, CHAR_LENGTH(${it}) - 1, 2) AS INT)
                            )
                    END
                )
                + CASE
                    -- As the contract writes it: three digits and Z.
                    WHEN CHAR_LENGTH(${it}) = 24 AND ${it} LIKE '%Z'
                        THEN CAST(SUBSTRING(${it}, 21, 3) AS INT)
                    ELSE
                        CAST(
                            RPAD(COALESCE(REGEXP_EXTRACT(${it}, '[.](\d{1,3})', 1), ''), 3, '0')
                            AS INT
                        )
                END,
                3
            )
    END
