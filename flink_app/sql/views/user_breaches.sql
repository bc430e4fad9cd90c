-- Of each user six attempts to pay in a row within 60 s that follow no such six: what the rule
-- user_velocity alerts on. The rule says what within 60 s means, and why old ones have a row.
-- reads: timed_attempts
-- boundary: counted_at
-- lifetime: 2 h
--
-- The window that looks for the newest also puts the attempts in order: those of a user come from
-- several tasks, far apart where a job catches up.
SELECT
    counted_at,
    happened_at,
    user_id,
    payment_id,
    id_1,
    id_2,
    id_3,
    id_4,
    id_5,
    latest,
    earliest,
    'user_velocity|' || ${bucket(digest)} AS rule_bucket
FROM (
    SELECT
        *,
        MD5(user_id) AS digest,
        GREATEST(happened_at, time_1, time_2, time_3, time_4, time_5) AS latest,
        LEAST(happened_at, time_1, time_2, time_3, time_4, time_5) AS earliest,
        GREATEST(time_1, time_2, time_3, time_4, time_5, time_6) AS latest_before,
        LEAST(time_1, time_2, time_3, time_4, time_5, time_6) AS earliest_before
    FROM (
        SELECT
            counted_at,
            happened_at,
            user_id,
            payment_id,
            LAG(happened_at, 1) OVER so_far AS time_1,
            LAG(happened_at, 2) OVER so_far AS time_2,
            LAG(happened_at, 3) OVER so_far AS time_3,
            LAG(happened_at, 4) OVER so_far AS time_4,
            LAG(happened_at, 5) OVER so_far AS time_5,
            LAG(happened_at, 6) OVER so_far AS time_6,
            LAG(payment_id, 1) OVER so_far AS id_1,
            LAG(payment_id, 2) OVER so_far AS id_2,
            LAG(payment_id, 3) OVER so_far AS id_3,
            LAG(payment_id, 4) OVER so_far AS id_4,
            LAG(payment_id, 5) OVER so_far AS id_5
        FROM (
            SELECT
                *,
                happened_at <= newest - INTERVAL '60' SECOND AS is_old,
                PROCTIME() AS seen_at
            FROM (
                SELECT
                    counted_at,
                    happened_at,
                    user_id,
                    payment_id,
                    MAX(happened_at) OVER (PARTITION BY user_id ORDER BY counted_at) AS newest
                FROM timed_attempts
                WHERE CHAR_LENGTH(user_id) BETWEEN 1 AND 128
            )
        )
        WINDOW so_far AS (PARTITION BY user_id, is_old ORDER BY seen_at)
    )
)
WHERE
    latest < earliest + INTERVAL '60' SECOND
    AND NOT COALESCE(latest_before < earliest_before + INTERVAL '60' SECOND, FALSE)
