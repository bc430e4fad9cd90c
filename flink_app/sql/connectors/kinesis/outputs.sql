-- The detections, written back to the stream under their partition keys, at least once: a failed or
-- partial PutRecords is sent again until it is taken.
--
-- The connector takes the key from a column, and the format writes every column. So a record comes
-- in three: what stands before the key in it, the key, what stands behind. What the format puts
-- between two columns is the key's own quotes.
-- A batch is sent after 200 ms at the latest (the default of 5 s would be added to every alert).
CREATE TEMPORARY TABLE outputs (
    before_key STRING NOT NULL,
    partition_key STRING NOT NULL,
    after_key STRING NOT NULL
) PARTITIONED BY (partition_key) WITH (
    'connector' = 'kinesis',
    'stream.arn' = '${stream_arn}',
    'aws.region' = '${aws_region}',
    'sink.batch.max-size' = '500',
    'sink.flush-buffer.timeout' = '200',
    'sink.fail-on-error' = 'false',
    'format' = 'csv',
    'csv.field-delimiter' = '"',
    'csv.disable-quote-character' = 'true'
)
