-- The stolen payments that count: a canary alerts and stands in no summary.
-- reads: stolen_windows
-- noqa: all columns of the view below, whichever they are.
SELECT * -- noqa: AM04
FROM stolen_windows
WHERE ${no_canary}
