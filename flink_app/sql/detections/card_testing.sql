-- At which merchants are cards tried out?
-- reads: card_test_counts, rules_in_force
-- application: risk_desk
--
-- Rule: card_testing. More than so many different cards at one merchant within 60 s, the
-- full 60 s included, of attempts that look like tests: declined, or at most a small amount of
-- their currency. When the count passes that, and again when it has been at it or below in
-- between, if only for a millisecond, also where only time passed. An attempt that came late counts
-- as of when it came. What comes and leaves at one millisecond does so together: one count and one
-- alert, named after the last attempt.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, how many cards, by the version
-- in force at the attempt; where that changes, the count before is held against the new one too.
-- Constants: 60 s, and the small amounts in card_tests, about five euro each; of a currency that is
-- not listed declined attempts alone count. Kept: such attempts of 60 s; per merchant the last six
-- and the last count, for two hours.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'card_testing',
            KEY 'rule_version' VALUE rule_version,
            KEY 'severity' VALUE JSON_VALUE(settings, '$.severity'),
            KEY 'entity_kind' VALUE 'merchant',
            KEY 'entity_id' VALUE merchant_id,
            KEY 'card_last4' VALUE CAST(NULL AS STRING),
            KEY 'currency' VALUE CAST(NULL AS STRING),
            KEY 'observed' VALUE CAST(cards AS STRING),
            KEY 'threshold' VALUE more_than,
            KEY 'explanation' VALUE CAST(cards AS STRING)
            || ' cards tried with declined or small payments within 60 s, more than ' || more_than,
            KEY 'window_start' VALUE ${instant_text(window_start)},
            KEY 'window_end' VALUE ${instant_text(window_end)},
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(
                SUBSTRING(payment_id, 1, 128),
                CASE WHEN tries > 1 THEN SUBSTRING(id_1, 1, 128) END,
                CASE WHEN tries > 2 THEN SUBSTRING(id_2, 1, 128) END,
                CASE WHEN tries > 3 THEN SUBSTRING(id_3, 1, 128) END,
                CASE WHEN tries > 4 THEN SUBSTRING(id_4, 1, 128) END,
                CASE WHEN tries > 5 THEN SUBSTRING(id_5, 1, 128) END
                ABSENT ON NULL
            ),
            KEY 'payment_count' VALUE tries,
            KEY 'paging' VALUE JSON_VALUE(settings, '$.paging')
        )
    ) AS record,
    merchant_id AS partition_key
FROM (
    SELECT
        *,
        counted_at - INTERVAL '60' SECOND AS window_start,
        counted_at + INTERVAL '0.001' SECOND AS window_end,
        LOWER(
            SHA2(
                CONCAT_WS(
                    '|',
                    'card_testing',
                    CAST(rule_version AS STRING),
                    'merchant',
                    merchant_id,
                    '',
                    payment_id
                ),
                256
            )
        ) AS alert_id
    FROM (
        SELECT
            *,
            JSON_VALUE(settings, '$.more_than') AS more_than
        FROM (
            SELECT
                *,
                ${settings_of(version)} AS settings,
                ${version_of(version)} AS rule_version
            FROM (
                SELECT
                    found.*,
                    judgement.version
                FROM (
                    SELECT
                        *,
                        COALESCE(published, ${card_testing_rule}) AS in_force
                    FROM (
                        SELECT
                            card_test_counts.*,
                            rules_in_force.in_force AS published,
                            rules_in_force.in_shadow
                        FROM card_test_counts
                        LEFT JOIN
                            rules_in_force
                            FOR SYSTEM_TIME AS OF card_test_counts.counted_at
                            ON card_test_counts.rule_bucket = rules_in_force.rule_bucket
                    )
                ) AS found
                CROSS JOIN UNNEST(ARRAY [found.in_force, found.in_shadow]) AS judgement (version)
            )
        )
    )
    WHERE
        cards > CAST(more_than AS BIGINT)
        AND COALESCE(cards_before, 0) <= CAST(more_than AS BIGINT)
        AND JSON_VALUE(settings, '$.state') = 'on'
)
