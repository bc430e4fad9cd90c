-- The detections, written back to the stream under random partition keys, at least once: a failed
-- or partial PutRecords is sent again until it is taken.
--
-- A batch is sent after 200 ms at the latest (the default of 5 s would be added to every alert).
CREATE TEMPORARY TABLE outputs (record STRING NOT NULL) WITH (
    'connector' = 'kinesis',
    'stream.arn' = '${stream_arn}',
    'aws.region' = '${aws_region}',
    'sink.partitioner' = 'random',
    'sink.batch.max-size' = '500',
    'sink.flush-buffer.timeout' = '200',
    'sink.fail-on-error' = 'false',
    'format' = 'raw'
)
