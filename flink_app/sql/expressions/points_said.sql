-- What the factor ${it} adds to the payment's score by the rule's version; null where it does not
-- speak against the payment, has no points, or none that can be read.
SELECT
    CASE
        WHEN ${it}
            THEN
                CAST(
                    NULLIF(
                        REGEXP_EXTRACT(
                            SPLIT_INDEX(version, '"${it}":', 1), '^(100|[1-9][0-9]?)[,}]', 1
                        ),
                        ''
                    ) AS INT
                )
    END
