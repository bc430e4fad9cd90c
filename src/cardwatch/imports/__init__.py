"""Payments that people have, as CSV or Parquet, made into the contract's events."""
