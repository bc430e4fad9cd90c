-- Which of 64 buckets a text of hex digits is in, a card's token or a hash.
SELECT SUBSTRING(${it}, 1, 1) || CAST(MOD(ASCII(SUBSTRING(${it}, 2, 1)), 4) AS STRING)
