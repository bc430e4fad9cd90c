"""One function of the template, run once."""
