"""Sending again what was kept aside, loading again what was skipped: pure, without AWS."""
