-- Question: which loads are new, and which batch is each put into?
-- Reads: staging.events, refresh.loads
-- Writes: refresh.loads
--
-- A load becomes visible when its COPY commits, but its rows carry the time at which it began: one
-- may appear behind others that were seen already. So no time is taken for a border. What is
-- loaded since :since is held against the ledger load by load, and whatever has more rows than
-- the ledger knows is new. A batch takes loads until it has :batch_rows rows.

INSERT INTO refresh.loads (loaded_at, row_count, batch)
SELECT
    fresh.loaded_at,
    fresh.row_count,
    :last_batch + 1 + CAST(
        FLOOR(
            (
                SUM(fresh.row_count)
                    OVER (ORDER BY fresh.loaded_at ROWS UNBOUNDED PRECEDING)
                - fresh.row_count
            ) / :batch_rows
        ) AS BIGINT
    ) AS batch
FROM (
    SELECT
        found.loaded_at,
        found.row_count - COALESCE(known.row_count, 0) AS row_count
    FROM (
        SELECT
            event_dw_regdate AS loaded_at,
            COUNT(*) AS row_count
        FROM staging.events
        WHERE event_dw_regdate >= :since
        GROUP BY event_dw_regdate
    ) AS found
    LEFT JOIN (
        SELECT
            loaded_at,
            SUM(row_count) AS row_count
        FROM refresh.loads
        WHERE loaded_at >= :since
        GROUP BY loaded_at
    ) AS known
        ON found.loaded_at = known.loaded_at
    WHERE found.row_count > COALESCE(known.row_count, 0)
) AS fresh;
