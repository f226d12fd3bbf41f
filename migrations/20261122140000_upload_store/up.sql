-- What: where the bytes of each upload are kept, and whether they were swept from there.
-- Safe beside the previous release: yes, it keeps everything in Postgres, which is the default.
-- Locks: uploads, exclusively, for a moment: no row is rewritten and none is read.

ALTER TABLE uploads ADD COLUMN store text NOT NULL DEFAULT 'postgres';
ALTER TABLE uploads ADD COLUMN swept_at timestamptz;
-- Checked for new rows at once, for the old ones by the next change.
ALTER TABLE uploads ADD CONSTRAINT uploads_store_known
    CHECK (store IN ('postgres', 'disk', 's3')) NOT VALID;

COMMENT ON COLUMN uploads.store IS 'Where its bytes are: postgres, disk or s3. Fixed when it is announced.';
COMMENT ON COLUMN uploads.swept_at IS 'When its bytes were removed from a store outside the database.';
