-- Generated from the contract by `make contract`: typed tables of new event types,
-- and columns of new fields.

ALTER TABLE typed.page_event ADD COLUMN act_id VARCHAR(256);
