-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version of the rule card_testing in the artifact: in force until one is published.
SELECT
    '                        '
    || '|000000001|{"state":"on","paging":"on","severity":"high","amounts":[],"more_than'
    || '":5,"window_seconds":60}'
