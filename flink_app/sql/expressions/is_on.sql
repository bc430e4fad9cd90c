-- Whether a rule's version (views/rule_versions.sql) has the rule on.
SELECT SUBSTRING(${it}, 36, 1) = '1'
