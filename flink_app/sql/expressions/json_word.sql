-- ${it}, which has nothing that JSON escapes, as JSON writes a text, or null.
SELECT COALESCE('"' || ${it} || '"', 'null')
