-- The stream, read by the official connector: one source subtask per shard reads best, so the
-- application's parallelism is the number of shards.
--
-- One shard serves five reads a second to all its readers, Firehose's one among them. The connector
-- waits poll_interval_ms after an answer without records and not at all after one with some, so
-- even a heartbeat a second makes it read more often than the interval says. Reads above the five
-- are refused and made again, which costs time and loses nothing: at five payments a second 0.1 of
-- the job's a second at 700 ms, 1.8 at 300 ms (docs/deployment.md). Polling, not enhanced fan-out:
-- that one loses its subscriptions on restart and resharding (FLINK-37908, FLINK-37648).
-- The streaming JSON parser, on by default, hands on null for a malformed object, and the connector
-- (6.0.0) passes it to the job, which dies of it again and again: so it is off.
-- The arrival is not known here: the connector hands no metadata over, and a record's timestamp
-- does not outlive the way from a table to a stream. An exception in what reads the table on the
-- same task is taken for a parse error and the record skipped without a word.
-- The position is for a job without state; the timestamp counts with AT_TIMESTAMP alone.
-- noqa: the linter's dialect has no LIKE (EXCLUDING OPTIONS).
CREATE TEMPORARY TABLE events ( -- noqa: PRS
    arrived_at AS CAST(NULL AS TIMESTAMP_LTZ(3))
) WITH (
    'connector' = 'kinesis',
    'stream.arn' = '${stream_arn}',
    'aws.region' = '${aws_region}',
    'source.reader.type' = 'POLLING',
    'source.reader.empty-records-fetch-interval' = '${poll_interval_ms} ms',
    'source.shard.get-records.max-record-count' = '10000',
    'source.init.position' = '${start_position}',
    'source.init.timestamp' = '${start_timestamp}',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true',
    'json.decode.json-parser.enabled' = 'false'
) LIKE events_schema (EXCLUDING OPTIONS)
