-- The amount that a rule's version says for the row's currency, as its text; null where it says
-- none that can be read. A currency has three characters here, so that no other text is its name.
SELECT
    REGEXP_EXTRACT(
        SPLIT_INDEX(${it}, '{"currency":"' || currency || '","amount":"', 1),
        '^([0-9]{1,15}([.][0-9]{1,4})?)"',
        1
    )
