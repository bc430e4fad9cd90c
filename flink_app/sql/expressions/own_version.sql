-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version in the artifact of the rule that rule_bucket is of: in force until one is published.
SELECT
    CASE SPLIT_INDEX(rule_bucket, '|', 0)
        WHEN 'large_amount'
            THEN
                '                        |000000001|1000000000000000000000000000000000000'
                || '0|{"state":"on","paging":"on","severity":"medium","amounts":[{"currency"'
                || ':"AUD","amount":"8500"},{"currency":"BRL","amount":"30000"},{"currency":'
                || '"CHF","amount":"5000"},{"currency":"EUR","amount":"5000"},{"currency":"G'
                || 'BP","amount":"4500"},{"currency":"INR","amount":"500000"},{"currency":"J'
                || 'PY","amount":"850000"},{"currency":"KWD","amount":"1750"},{"currency":"P'
                || 'LN","amount":"22500"},{"currency":"SEK","amount":"57500"},{"currency":"U'
                || 'SD","amount":"5000"}],"more_than":null,"window_seconds":null,"threshold"'
                || ':null,"points":null}'
        WHEN 'user_velocity'
            THEN
                '                        |000000001|1000000000000000000000000000000000006'
                || '0|{"state":"on","paging":"on","severity":"medium","amounts":[],"more_tha'
                || 'n":5,"window_seconds":60,"threshold":null,"points":null}'
        WHEN 'card_testing'
            THEN
                '                        |000000001|1000000000000000000000000000000000006'
                || '0|{"state":"on","paging":"on","severity":"high","amounts":[{"currency":"'
                || 'AUD","amount":"8"},{"currency":"BRL","amount":"30"},{"currency":"CHF","a'
                || 'mount":"5"},{"currency":"EUR","amount":"5"},{"currency":"GBP","amount":"'
                || '5"},{"currency":"INR","amount":"450"},{"currency":"JPY","amount":"800"},'
                || '{"currency":"KWD","amount":"1.5"},{"currency":"PLN","amount":"20"},{"cur'
                || 'rency":"SEK","amount":"55"},{"currency":"USD","amount":"5"}],"more_than"'
                || ':5,"window_seconds":60,"threshold":null,"points":null}'
        WHEN 'spend_over_limit'
            THEN
                '                        |000000001|1000000000000000000000000000000000060'
                || '0|{"state":"on","paging":"on","severity":"high","amounts":[{"currency":"'
                || 'AUD","amount":"5100"},{"currency":"BRL","amount":"18000"},{"currency":"C'
                || 'HF","amount":"3000"},{"currency":"EUR","amount":"3000"},{"currency":"GBP'
                || '","amount":"2600"},{"currency":"INR","amount":"285000"},{"currency":"JPY'
                || '","amount":"500000"},{"currency":"KWD","amount":"1000"},{"currency":"PLN'
                || '","amount":"13000"},{"currency":"SEK","amount":"34000"},{"currency":"USD'
                || '","amount":"3000"}],"more_than":null,"window_seconds":600,"threshold":nu'
                || 'll,"points":null}'
        WHEN 'high_score'
            THEN
                '                        |000000001|1070060040030030025025020015010010000'
                || '0|{"state":"on","paging":"on","severity":"high","amounts":[],"more_than"'
                || ':null,"window_seconds":null,"threshold":70,"points":{"stolen_card":60,"i'
                || 'mpossible_travel":40,"over_limit":30,"decline_streak":30,"velocity_card"'
                || ':25,"amount_deviation":25,"velocity_user":20,"first_in_country":15,"velo'
                || 'city_merchant":10,"young_account":10}}'
    END
