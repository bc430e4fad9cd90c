-- The load ledger: which delivered objects are in staging.events, and which cannot be loaded.
--
-- A loader writes loaded_objects in the transaction that loads the object's rows, and skips an
-- object whose key and etag are there: an object is loaded once. An object that cannot be loaded
-- stays where it is in S3 and gets a row in bad_objects, so that it stops nothing and somebody
-- sees it; deleting that row has it tried again.

CREATE TABLE IF NOT EXISTS staging.loaded_objects (
    object_key VARCHAR(1024) NOT NULL,
    object_etag VARCHAR(64) NOT NULL,
    row_count BIGINT NOT NULL,
    loaded_at TIMESTAMP NOT NULL DEFAULT SYSDATE
)
DISTSTYLE ALL
SORTKEY (loaded_at);

CREATE TABLE IF NOT EXISTS staging.bad_objects (
    object_key VARCHAR(1024) NOT NULL,
    object_etag VARCHAR(64) NOT NULL,
    error VARCHAR(1024) NOT NULL,
    found_at TIMESTAMP NOT NULL DEFAULT SYSDATE
)
DISTSTYLE ALL
SORTKEY (found_at);
