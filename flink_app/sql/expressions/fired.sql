-- Whether some factor speaks against the payment of the row, whatever its points are.
SELECT
    COALESCE(
        stolen_card
        OR impossible_travel
        OR over_limit
        OR decline_streak
        OR velocity_card
        OR amount_deviation
        OR velocity_user
        OR first_in_country
        OR velocity_merchant
        OR young_account,
        FALSE
    )
