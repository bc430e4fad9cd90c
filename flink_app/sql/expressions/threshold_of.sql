-- The threshold in a rule's version (views/rule_versions.sql); 0 where it has none.
SELECT CAST(SUBSTRING(${it}, 37, 3) AS INT)
