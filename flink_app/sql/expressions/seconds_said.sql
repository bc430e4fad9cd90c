-- The seconds of the window that a rule's settings say, in four digits; 0000 for none, and for what
-- is no number of as many.
SELECT
    COALESCE(
        LPAD(
            REGEXP_EXTRACT(JSON_VALUE(settings, '$.window_seconds'), '^[1-9][0-9]{0,3}\z', 0),
            4,
            '0'
        ),
        '0000'
    )
