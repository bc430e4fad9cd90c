-- A minute of one ${it}, merchant or user, as an envelope, by its columns.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE UPPER('${it}_minute'),
        KEY 'event_id' VALUE LOWER(
            SHA2(
                CONCAT_WS(
                    '|',
                    '${it}_minute',
                    ${it}_id,
                    COALESCE(currency, ''),
                    ${instant_text(window_start)},
                    '1'
                ),
                256
            )
        ),
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(window_end)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY '${it}_id' VALUE ${it}_id,
            KEY 'currency' VALUE currency,
            KEY 'window_start' VALUE ${instant_text(window_start)},
            KEY 'window_end' VALUE ${instant_text(window_end)},
            KEY 'payment_count' VALUE payment_count,
            KEY 'declined' VALUE declined,
            KEY 'refunded' VALUE refunded,
            KEY 'amount' VALUE ${amount_text(amount)},
            KEY 'refunded_amount' VALUE ${amount_text(refunded_amount)},
            KEY 'card_count' VALUE card_count
        )
    )
