-- What a rule's settings say at ${it}, a number from 1 to 100, in three digits; 000 for all else.
SELECT
    COALESCE(
        LPAD(
            REGEXP_EXTRACT(JSON_VALUE(settings, '$.${it}'), '^(100|[1-9][0-9]?)\z', 1),
            3,
            '0'
        ),
        '000'
    )
