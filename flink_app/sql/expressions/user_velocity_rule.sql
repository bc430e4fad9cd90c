-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version of the rule user_velocity in the artifact: in force until one is published.
SELECT
    '                        '
    || '|000000001|{"state":"on","paging":"on","severity":"medium","amounts":[],"more_th'
    || 'an":5,"window_seconds":60}'
