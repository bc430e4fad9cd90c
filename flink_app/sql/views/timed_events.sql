-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- The events with rt, event time. One without a valid time gets the epoch: it takes part in nothing
-- and never moves the watermark. Of the future is what is too far ahead of its arrival on the
-- stream or, where the edge does not know that, of the clock. The watermark moves in steps of
-- 100 ms.
-- reads: flat_events
-- boundary: rt
-- watermark: CAST(rt AS TIMESTAMP_LTZ(1)) - INTERVAL '${watermark_delay}' SECOND
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    CASE
        WHEN
            origin >= TO_TIMESTAMP_LTZ(1577836800000, 3)
            AND origin
            <= COALESCE(arrived_at, CURRENT_TIMESTAMP)
            + INTERVAL '10' SECOND
            THEN CASE
                WHEN `type` IN ('PAYMENT_EVENT', 'RULE', 'HEARTBEAT') THEN origin
                WHEN
                    `type` = 'CARD_STATUS'
                    AND effective_from >= TO_TIMESTAMP_LTZ(1577836800000, 3)
                    AND effective_from <= origin
                    THEN effective_from
                WHEN
                    `type` = 'ACCOUNT'
                    AND valid_from >= TO_TIMESTAMP_LTZ(1577836800000, 3)
                    AND valid_from <= origin
                    THEN valid_from
                ELSE TO_TIMESTAMP_LTZ(0, 3)
            END
        ELSE TO_TIMESTAMP_LTZ(0, 3)
    END AS rt
FROM flat_events
