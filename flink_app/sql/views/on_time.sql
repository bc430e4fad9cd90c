-- The stolen payments whose 5 s window is open: those that wait for its end.
-- reads: stolen_windows
-- noqa: all columns of the view below, whichever they are.
SELECT * -- noqa: AM04
FROM stolen_windows
WHERE NOT late
