-- The text ${it} as JSON writes it, cut to 128 characters; or null.
--
-- What needs neither an escape nor a cut, as nearly everything, is quoted here: Flink's own
-- functions for JSON cost ten times as much.
SELECT
    CASE
        WHEN REGEXP(${it}, '^[ !#-\[\]-~]{0,128}\z') THEN '"' || ${it} || '"'
        ELSE COALESCE(JSON_STRING(SUBSTRING(${it}, 1, 128)), 'null')
    END
