-- What is written of each detection: its record in the parts that `outputs` puts together again.
--
-- The key is looked for as JSON writes it, because that is how the record has it.
SELECT
    SUBSTRING(record, 1, key_position - 1) AS before_key,
    SUBSTRING(quoted_key, 2, CHAR_LENGTH(quoted_key) - 2) AS partition_key,
    SUBSTRING(record, key_position + CHAR_LENGTH(quoted_key)) AS after_key
FROM (
    SELECT
        record,
        quoted_key,
        POSITION(quoted_key IN record) AS key_position
    FROM (
        SELECT
            record,
            JSON_STRING(partition_key) AS quoted_key
        FROM detected
    )
)
