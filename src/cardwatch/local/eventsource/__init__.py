"""Lambda's Kinesis event source mapping: alerts from the stream to the deployed notifier."""
