"""Firehose: the stream through the deployed stager to the bucket and the warehouse."""
