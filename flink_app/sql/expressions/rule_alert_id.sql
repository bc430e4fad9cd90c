-- The id of an alert of the rule ${it} (src/cardwatch/contract/rule_alert.py), by the columns
-- rule_version, entity_kind, entity_id, currency and first_payment_id.
SELECT
    LOWER(
        SHA2(
            CONCAT_WS(
                '|',
                '${it}',
                CAST(rule_version AS STRING),
                entity_kind,
                entity_id,
                COALESCE(currency, ''),
                first_payment_id
            ),
            256
        )
    )
