-- Attempts to pay with which a breach of the rule user_velocity may begin, by whatever count and
-- window it can have: each with its user's attempts before it, the newest first, of its own row.
-- The rule says why old ones have a row.
-- reads: timed_attempts
-- boundary: counted_at
-- lifetime: 2 h
--
-- The window that looks for the newest also puts the attempts in order: those of a user come from
-- several tasks, far apart where a job catches up.
-- Of a window that the least count in a row fits into, the eleven before it must not, or a breach
-- goes on by every count: the shortest such window says that for the longer ones too. What the
-- least counts are says src/cardwatch/rules/file.py; whether all of a row are near each other,
-- wherever in it the newest and the oldest stand, says the rule.
SELECT
    counted_at,
    happened_at,
    user_id,
    ARRAY [
        happened_at, time_1, time_2, time_3, time_4, time_5, time_6, time_7, time_8, time_9,
        time_10, time_11
    ] AS times,
    ARRAY [
        payment_id, id_1, id_2, id_3, id_4, id_5, id_6, id_7, id_8, id_9, id_10
    ] AS ids,
    'user_velocity|' || ${bucket(digest)} AS rule_bucket
FROM (
    SELECT
        *,
        MD5(user_id) AS digest
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
            LAG(happened_at, 7) OVER so_far AS time_7,
            LAG(happened_at, 8) OVER so_far AS time_8,
            LAG(happened_at, 9) OVER so_far AS time_9,
            LAG(happened_at, 10) OVER so_far AS time_10,
            LAG(happened_at, 11) OVER so_far AS time_11,
            LAG(payment_id, 1) OVER so_far AS id_1,
            LAG(payment_id, 2) OVER so_far AS id_2,
            LAG(payment_id, 3) OVER so_far AS id_3,
            LAG(payment_id, 4) OVER so_far AS id_4,
            LAG(payment_id, 5) OVER so_far AS id_5,
            LAG(payment_id, 6) OVER so_far AS id_6,
            LAG(payment_id, 7) OVER so_far AS id_7,
            LAG(payment_id, 8) OVER so_far AS id_8,
            LAG(payment_id, 9) OVER so_far AS id_9,
            LAG(payment_id, 10) OVER so_far AS id_10
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
    WHERE
        CASE
            WHEN happened_at < time_3 + INTERVAL '30' SECOND THEN 30
            WHEN happened_at < time_4 + INTERVAL '60' SECOND THEN 60
            WHEN happened_at < time_6 + INTERVAL '2' MINUTE THEN 120
            WHEN happened_at < time_8 + INTERVAL '5' MINUTE THEN 300
        END <= COALESCE(
            TIMESTAMPDIFF(
                SECOND,
                LEAST(
                    time_1, time_2, time_3, time_4, time_5, time_6, time_7, time_8, time_9,
                    time_10, time_11
                ),
                GREATEST(
                    time_1, time_2, time_3, time_4, time_5, time_6, time_7, time_8, time_9,
                    time_10, time_11
                )
            ),
            300
        )
)
