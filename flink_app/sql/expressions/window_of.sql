-- The seconds of the window in a rule's version (views/rule_versions.sql); 0 where it has none.
SELECT CAST(SUBSTRING(${it}, 70, 4) AS INT)
