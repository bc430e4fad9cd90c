-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Whether a row is about something else than the canary's card.
SELECT card_token IS DISTINCT FROM 'cacacacacacacacacacacacacacacaca'
