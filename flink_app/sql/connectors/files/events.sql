-- Files of envelopes, one per line, read once. A local file is one split, so the order of its
-- lines is the order of arrival; the name's end tells Flink whether to unpack it (.gz). When a
-- record arrived is not known.
-- noqa: the linter's dialect has no LIKE (EXCLUDING OPTIONS).
CREATE TEMPORARY TABLE events ( -- noqa: PRS
    arrived_at AS CAST(NULL AS TIMESTAMP_LTZ(3))
) WITH (
    'connector' = 'filesystem',
    'path' = '${events_path}',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true',
    'json.decode.json-parser.enabled' = 'false'
) LIKE events_schema (EXCLUDING OPTIONS)
