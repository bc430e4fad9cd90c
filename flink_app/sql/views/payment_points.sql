-- Each payment that some factor speaks against with the points that each factor has: by the
-- version in force of the rule high_score, and again by one in shadow.
-- reads: timed_risky_payments, rules_in_force
-- boundary: none
-- noqa: all columns of the view below, whichever they are.
--
-- A boundary, because the points are named four times each behind it.
SELECT
    *, -- noqa: AM04
    ${points_said(stolen_card)} AS stolen_card_points,
    ${points_said(impossible_travel)} AS impossible_travel_points,
    ${points_said(over_limit)} AS over_limit_points,
    ${points_said(decline_streak)} AS decline_streak_points,
    ${points_said(velocity_card)} AS velocity_card_points,
    ${points_said(amount_deviation)} AS amount_deviation_points,
    ${points_said(velocity_user)} AS velocity_user_points,
    ${points_said(first_in_country)} AS first_in_country_points,
    ${points_said(velocity_merchant)} AS velocity_merchant_points,
    ${points_said(young_account)} AS young_account_points
FROM ${judged(timed_risky_payments)}
WHERE version IS NOT NULL
