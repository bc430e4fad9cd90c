"""The simulator: a pure generator of events, named faults, and the loop that sends them."""
