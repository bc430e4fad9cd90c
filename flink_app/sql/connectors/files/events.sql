-- One file of envelopes, one per line, read once. A local file is one split, so the order of its
-- lines is the order of arrival; the name's end tells Flink whether to unpack it (.gz).
-- noqa: the linter's dialect has no LIKE (EXCLUDING OPTIONS).
CREATE TEMPORARY TABLE events WITH ( -- noqa: PRS
    'connector' = 'filesystem',
    'path' = '${events_path}',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true',
    'json.decode.json-parser.enabled' = 'false',
    'json.timestamp-format.standard' = 'ISO-8601'
) LIKE events_schema (EXCLUDING OPTIONS)
