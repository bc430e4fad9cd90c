-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version of the rule large_amount in the artifact: in force until one is published.
SELECT
    '                        '
    || '|000000001|{"state":"on","paging":"on","severity":"medium","amounts":[{"currency'
    || '":"AUD","amount":"17000"},{"currency":"BRL","amount":"60000"},{"currency":"CHF",'
    || '"amount":"10000"},{"currency":"EUR","amount":"10000"},{"currency":"GBP","amount"'
    || ':"9000"},{"currency":"INR","amount":"1000000"},{"currency":"JPY","amount":"17000'
    || '00"},{"currency":"KWD","amount":"3500"},{"currency":"PLN","amount":"45000"},{"cu'
    || 'rrency":"SEK","amount":"115000"},{"currency":"USD","amount":"10000"}],"more_than'
    || '":null,"window_seconds":null}'
