-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version in the artifact of the rule that rule_bucket is of: in force until one is published.
SELECT
    CASE SPLIT_INDEX(rule_bucket, '|', 0)
        WHEN 'large_amount'
            THEN
                '                        '
                || '|000000001|{"state":"on","paging":"on","severity":"medium","amounts":[{"'
                || 'currency":"AUD","amount":"8500"},{"currency":"BRL","amount":"30000"},{"c'
                || 'urrency":"CHF","amount":"5000"},{"currency":"EUR","amount":"5000"},{"cur'
                || 'rency":"GBP","amount":"4500"},{"currency":"INR","amount":"500000"},{"cur'
                || 'rency":"JPY","amount":"850000"},{"currency":"KWD","amount":"1750"},{"cur'
                || 'rency":"PLN","amount":"22500"},{"currency":"SEK","amount":"57500"},{"cur'
                || 'rency":"USD","amount":"5000"}],"more_than":null,"window_seconds":null,"t'
                || 'hreshold":null,"points":null}'
        WHEN 'user_velocity'
            THEN
                '                        '
                || '|000000001|{"state":"on","paging":"on","severity":"medium","amounts":[],'
                || '"more_than":5,"window_seconds":60,"threshold":null,"points":null}'
        WHEN 'card_testing'
            THEN
                '                        '
                || '|000000001|{"state":"on","paging":"on","severity":"high","amounts":[{"cu'
                || 'rrency":"AUD","amount":"8"},{"currency":"BRL","amount":"30"},{"currency"'
                || ':"CHF","amount":"5"},{"currency":"EUR","amount":"5"},{"currency":"GBP","'
                || 'amount":"5"},{"currency":"INR","amount":"450"},{"currency":"JPY","amount'
                || '":"800"},{"currency":"KWD","amount":"1.5"},{"currency":"PLN","amount":"2'
                || '0"},{"currency":"SEK","amount":"55"},{"currency":"USD","amount":"5"}],"m'
                || 'ore_than":5,"window_seconds":60,"threshold":null,"points":null}'
        WHEN 'spend_over_limit'
            THEN
                '                        '
                || '|000000001|{"state":"on","paging":"on","severity":"high","amounts":[{"cu'
                || 'rrency":"AUD","amount":"5100"},{"currency":"BRL","amount":"18000"},{"cur'
                || 'rency":"CHF","amount":"3000"},{"currency":"EUR","amount":"3000"},{"curre'
                || 'ncy":"GBP","amount":"2600"},{"currency":"INR","amount":"285000"},{"curre'
                || 'ncy":"JPY","amount":"500000"},{"currency":"KWD","amount":"1000"},{"curre'
                || 'ncy":"PLN","amount":"13000"},{"currency":"SEK","amount":"34000"},{"curre'
                || 'ncy":"USD","amount":"3000"}],"more_than":null,"window_seconds":600,"thre'
                || 'shold":null,"points":null}'
        WHEN 'high_score'
            THEN
                '                        '
                || '|000000001|{"state":"on","paging":"on","severity":"high","amounts":[],"m'
                || 'ore_than":null,"window_seconds":null,"threshold":70,"points":{"stolen_ca'
                || 'rd":60,"impossible_travel":40,"over_limit":30,"decline_streak":30,"veloc'
                || 'ity_card":25,"amount_deviation":25,"velocity_user":20,"first_in_country"'
                || ':15,"velocity_merchant":10,"young_account":10}}'
    END
