"""Golden scenarios: what happens to some cards, and the exact alerts, summaries and pages of it."""
