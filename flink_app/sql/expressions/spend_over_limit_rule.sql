-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version of the rule spend_over_limit in the artifact: in force until one is published.
SELECT
    '                        '
    || '|000000001|{"state":"on","paging":"on","severity":"high","amounts":[{"currency":'
    || '"AUD","amount":"5100"},{"currency":"BRL","amount":"18000"},{"currency":"CHF","am'
    || 'ount":"3000"},{"currency":"EUR","amount":"3000"},{"currency":"GBP","amount":"260'
    || '0"},{"currency":"INR","amount":"285000"},{"currency":"JPY","amount":"500000"},{"'
    || 'currency":"KWD","amount":"1000"},{"currency":"PLN","amount":"13000"},{"currency"'
    || ':"SEK","amount":"34000"},{"currency":"USD","amount":"3000"}],"more_than":null,"w'
    || 'indow_seconds":600}'
