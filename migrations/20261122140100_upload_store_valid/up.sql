-- What: proves of the old uploads that their store is a known one.
-- Safe beside the previous release: yes, nothing changes.
-- Locks: uploads against changes of the schema only, while it reads the table once.

ALTER TABLE uploads VALIDATE CONSTRAINT uploads_store_known;
