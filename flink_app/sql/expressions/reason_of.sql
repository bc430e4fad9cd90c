-- How the factor ${it} begins as a reason, JSON: its name, its points, and what was observed.
SELECT '{"factor":"${it}","points":' || CAST(${it}_points AS STRING) || ',"observed":'
