-- The stolen payments whose 5 s window is open: those that wait for its end.
-- noqa: all columns of `stolen`, whichever they are.
SELECT * -- noqa: AM04
FROM stolen
WHERE NOT late
