-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- What payments are held against by a rule's settings, at fixed places of 38 characters: 1 for on,
-- the threshold, the points of each factor, and the seconds of the window.
SELECT
    CONCAT(
        CASE JSON_VALUE(settings, '$.state') WHEN 'on' THEN '1' ELSE '0' END,
        ${three_digits(threshold)},
        ${three_digits(points.stolen_card)},
        ${three_digits(points.impossible_travel)},
        ${three_digits(points.over_limit)},
        ${three_digits(points.decline_streak)},
        ${three_digits(points.velocity_card)},
        ${three_digits(points.amount_deviation)},
        ${three_digits(points.velocity_user)},
        ${three_digits(points.first_in_country)},
        ${three_digits(points.velocity_merchant)},
        ${three_digits(points.young_account)},
        ${seconds_said}
    )
