DROP TABLE parts;
ALTER TABLE uploads DROP COLUMN multipart;
ALTER TABLE uploads DROP COLUMN part_bytes;
