"""Pure: the canary of each minute."""
