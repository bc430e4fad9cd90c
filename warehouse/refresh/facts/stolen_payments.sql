-- Question: which payments were made with a card that was stolen at that moment, who owes their
-- alert, and what did they cost?
-- Reads: typed.payment_event, typed.card_status
-- Writes: facts.stolen_payments
--
-- One row per payment, which is (payment_id, card_token). By the definition, independent of the
-- detection: of all statuses of the card, whenever they came, the newest with effective_from at or
-- before the payment says STOLEN; of two from the same instant STOLEN wins. Of several records of
-- a payment the first, by event time, that was made while the card was stolen counts.
--
-- owed_by: `stream` where the detection's three times (oldest STOLEN, newest STOLEN, newest
-- ACTIVE) over the statuses that came before the payment find one of its records: it should have
-- alerted. `audit` where they do not, mostly because the payment stood before its card's report.
-- Before is known by the load; within one load by the times at which the producers sent the two.
--
-- status and cost are of the payment's newest record. A declined payment costs nothing; another
-- what was captured, or else authorized, without what was refunded.

CREATE TEMPORARY TABLE touched_payments AS
SELECT
    payment_event.payment_id,
    payment_event.card_token
FROM typed.payment_event
WHERE
    payment_event.batch > :from_batch
    AND payment_event.batch <= :to_batch
    AND payment_event.card_token IN (
        SELECT card_status.card_token
        FROM typed.card_status
        WHERE card_status.status = 'STOLEN'
    )
UNION -- noqa: AM02
SELECT
    payment_event.payment_id,
    payment_event.card_token
FROM typed.payment_event
INNER JOIN typed.card_status
    ON payment_event.card_token = card_status.card_token
WHERE
    card_status.batch > :from_batch
    AND card_status.batch <= :to_batch
    AND payment_event.card_token IN (
        SELECT stolen.card_token
        FROM typed.card_status AS stolen
        WHERE stolen.status = 'STOLEN'
    );

CREATE TEMPORARY TABLE touched_records AS
SELECT
    payment_event.event_id,
    payment_event.payment_id,
    payment_event.card_token,
    payment_event.card_last4,
    payment_event.amount,
    payment_event.currency,
    payment_event.status,
    payment_event.event_date_origin,
    payment_event.event_dw_regdate
FROM typed.payment_event
INNER JOIN touched_payments
    ON
        payment_event.payment_id = touched_payments.payment_id
        AND payment_event.card_token = touched_payments.card_token;

DELETE FROM facts.stolen_payments
USING touched_payments
WHERE
    stolen_payments.payment_id = touched_payments.payment_id
    AND stolen_payments.card_token = touched_payments.card_token;

INSERT INTO facts.stolen_payments (
    payment_id,
    card_token,
    card_last4,
    amount,
    currency,
    event_date_origin,
    reported_at,
    owed_by,
    status,
    cost
)
WITH

held_against_statuses AS (
    SELECT
        records.event_id,
        records.payment_id,
        records.card_token,
        records.card_last4,
        records.amount,
        records.currency,
        records.event_date_origin,
        card_status.status,
        card_status.effective_from,
        COALESCE(card_status.effective_from <= records.event_date_origin, FALSE) AS in_force,
        (
            card_status.event_dw_regdate < records.event_dw_regdate
            OR (
                card_status.event_dw_regdate = records.event_dw_regdate
                AND card_status.event_date_origin <= records.event_date_origin
            )
        ) AS came_before
    FROM touched_records AS records
    INNER JOIN typed.card_status
        ON records.card_token = card_status.card_token
),

times AS (
    SELECT
        event_id,
        payment_id,
        card_token,
        card_last4,
        amount,
        currency,
        event_date_origin,
        MAX(CASE WHEN in_force AND status = 'STOLEN' THEN effective_from END) AS reported_at,
        MAX(CASE WHEN in_force AND status = 'ACTIVE' THEN effective_from END) AS cleared_at,
        MIN(
            CASE WHEN came_before AND status = 'STOLEN' THEN effective_from END
        ) AS oldest_stolen,
        MAX(
            CASE WHEN came_before AND status = 'STOLEN' THEN effective_from END
        ) AS newest_stolen,
        MAX(
            CASE WHEN came_before AND status = 'ACTIVE' THEN effective_from END
        ) AS newest_active
    FROM held_against_statuses
    GROUP BY
        event_id, payment_id, card_token, card_last4, amount, currency, event_date_origin
),

judged AS (
    SELECT
        payment_id,
        card_token,
        card_last4,
        amount,
        currency,
        event_date_origin,
        reported_at,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id, card_token
            ORDER BY event_date_origin, event_id
        ) AS record_number,
        MAX(
            CASE
                WHEN
                    newest_stolen <= event_date_origin
                    AND NOT COALESCE(
                        newest_active > newest_stolen AND newest_active <= event_date_origin,
                        FALSE
                    )
                    THEN 1
                WHEN
                    oldest_stolen <= event_date_origin
                    AND newest_stolen > event_date_origin
                    AND COALESCE(newest_active <= oldest_stolen, TRUE)
                    THEN 1
                ELSE 0
            END
        ) OVER (PARTITION BY payment_id, card_token) AS found_by_the_three_times
    FROM times
    WHERE reported_at IS NOT NULL AND COALESCE(reported_at >= cleared_at, TRUE)
),

newest AS (
    SELECT
        payment_id,
        card_token,
        status,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id, card_token
            ORDER BY
                event_date_origin DESC,
                CASE status
                    WHEN 'REFUNDED' THEN 4
                    WHEN 'CAPTURED' THEN 3
                    WHEN 'DECLINED' THEN 2
                    ELSE 1
                END DESC,
                event_id DESC
        ) AS record_number,
        MAX(CASE WHEN status = 'AUTHORIZED' THEN amount END)
            OVER (PARTITION BY payment_id, card_token)
            AS authorized,
        MAX(CASE WHEN status = 'CAPTURED' THEN amount END)
            OVER (PARTITION BY payment_id, card_token)
            AS captured,
        MAX(CASE WHEN status = 'REFUNDED' THEN amount END)
            OVER (PARTITION BY payment_id, card_token)
            AS refunded
    FROM touched_records
)

SELECT
    judged.payment_id,
    judged.card_token,
    judged.card_last4,
    judged.amount,
    judged.currency,
    judged.event_date_origin,
    judged.reported_at,
    CASE judged.found_by_the_three_times WHEN 1 THEN 'stream' ELSE 'audit' END AS owed_by,
    newest.status,
    CASE
        WHEN newest.status = 'DECLINED' THEN 0
        ELSE GREATEST(
            COALESCE(newest.captured, newest.authorized, 0) - COALESCE(newest.refunded, 0), 0
        )
    END AS cost
FROM judged
INNER JOIN newest
    ON judged.payment_id = newest.payment_id AND judged.card_token = newest.card_token
WHERE judged.record_number = 1 AND newest.record_number = 1;

DROP TABLE touched_records;

DROP TABLE touched_payments;
