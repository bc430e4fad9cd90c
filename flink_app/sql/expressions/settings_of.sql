-- The settings in a rule's version (views/rule_versions.sql), JSON.
SELECT SUBSTRING(${it}, 75)
