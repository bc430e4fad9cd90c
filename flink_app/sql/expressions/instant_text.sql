-- An instant, TIMESTAMP_LTZ(3), as the contract writes it. Flink's DATE_FORMAT says the same and
-- costs more.
SELECT REPLACE(CAST(${it} AS STRING), ' ', 'T') || 'Z'
