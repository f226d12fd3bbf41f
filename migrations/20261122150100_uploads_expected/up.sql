-- What: the hash that a sender announces, to be compared once the file is whole.
-- Safe beside the previous release: yes, a column that it does not read.
-- Locks: uploads, exclusively, for a moment: no row is rewritten and none is read.

ALTER TABLE uploads ADD COLUMN expected_sha256 bytea;
ALTER TABLE uploads ADD CONSTRAINT uploads_expected_is_sha256
    CHECK (octet_length(expected_sha256) = 32) NOT VALID;

COMMENT ON COLUMN uploads.expected_sha256 IS 'SHA-256 that the sender announced; a file with another one fails. NULL if it announced none.';
