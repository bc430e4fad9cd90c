-- What is written of each detection: a file has no partitions.
SELECT record FROM detected
