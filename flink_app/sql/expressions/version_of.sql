-- The number of a rule's version (views/rule_versions.sql).
SELECT CAST(SUBSTRING(${it}, 26, 9) AS INT)
