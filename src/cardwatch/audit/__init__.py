"""The audit: which payments should have alerted, by all that is staged, and what became of them."""
