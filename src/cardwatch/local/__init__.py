"""The one-machine stack: the whole system without a cloud account."""
