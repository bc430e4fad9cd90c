-- What kind of page accounts for an alert; null is a first page.

ALTER TABLE facts.page_alerts ADD COLUMN kind VARCHAR(64);
