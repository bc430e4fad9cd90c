-- A folder of files, one envelope per line.
CREATE TEMPORARY TABLE outputs (record STRING NOT NULL) WITH (
    'connector' = 'filesystem',
    'path' = '${outputs_path}',
    'format' = 'raw'
)
