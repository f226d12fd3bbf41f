ALTER TABLE uploads DROP COLUMN expected_sha256;
