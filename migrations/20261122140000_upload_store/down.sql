ALTER TABLE uploads DROP CONSTRAINT uploads_store_known;
ALTER TABLE uploads DROP COLUMN swept_at;
ALTER TABLE uploads DROP COLUMN store;
