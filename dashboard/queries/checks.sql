-- Question: is what the warehouse holds fresh, whole, and without contradictions?

SELECT
    data_quality.check_name,
    data_quality.found,
    data_quality.allowed
FROM marts.data_quality
ORDER BY data_quality.check_name ASC;
