-- Payments that some factor speaks against: the others have no score by whatever points.
-- reads: payment_factors
-- boundary: rt
-- noqa: all columns of the view below, whichever they are.
SELECT * -- noqa: AM04
FROM payment_factors
WHERE ${fired}
