-- Everything the job says, as complete envelopes.
SELECT record FROM payment_alert
UNION ALL
SELECT record FROM payment_alert_summary
