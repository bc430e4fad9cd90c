-- A payment's amount as a number: null where it is none, or has more than the contract's 15 digits
-- before the point, rounded.
--
-- It is text in the stream, and read only when it is short and its exponent small: a number like
-- 1e100000000 would otherwise be written out digit by digit.
SELECT
    TRY_CAST(
        CASE
            WHEN
                CHAR_LENGTH(amount) <= 40
                AND REGEXP(
                    amount, '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$'
                )
                THEN amount
        END AS DECIMAL(19, 4)
    )
