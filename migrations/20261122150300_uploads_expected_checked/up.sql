-- What: looks whether every announced hash is one; there are none before this release.
-- Safe beside the previous release: yes, it writes none.
-- Locks: none that hold up reading or writing rows; uploads is read once.

ALTER TABLE uploads VALIDATE CONSTRAINT uploads_expected_is_sha256;
