-- The factors of the row that could not be judged, as JSON.
SELECT
    '[' || CONCAT_WS(
        ',',
        CASE WHEN stolen_card IS NULL THEN '"stolen_card"' END,
        CASE WHEN impossible_travel IS NULL THEN '"impossible_travel"' END,
        CASE WHEN over_limit IS NULL THEN '"over_limit"' END,
        CASE WHEN decline_streak IS NULL THEN '"decline_streak"' END,
        CASE WHEN velocity_card IS NULL THEN '"velocity_card"' END,
        CASE WHEN amount_deviation IS NULL THEN '"amount_deviation"' END,
        CASE WHEN velocity_user IS NULL THEN '"velocity_user"' END,
        CASE WHEN first_in_country IS NULL THEN '"first_in_country"' END,
        CASE WHEN velocity_merchant IS NULL THEN '"velocity_merchant"' END,
        CASE WHEN young_account IS NULL THEN '"young_account"' END
    ) || ']'
