-- Attempts with which a breach may begin, by the version in force of the rule user_velocity, and by
-- one in shadow, with its count and its window.
-- reads: user_attempts, rules_in_force
-- boundary: none
--
-- A boundary, so that the settings are read once.
SELECT
    happened_at,
    user_id,
    times,
    ids,
    version,
    settings,
    TRY_CAST(JSON_VALUE(settings, '$.more_than') AS INT) AS more_than,
    ${window_of(version)} AS window_seconds
FROM (
    SELECT
        *,
        ${settings_of(version)} AS settings
    FROM ${judged(user_attempts)}
)
WHERE ${is_on(version)}
