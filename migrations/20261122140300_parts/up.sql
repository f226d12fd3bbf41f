-- What: how far the bytes of an upload have got from Postgres into S3, part by part.
-- Safe beside the previous release: yes, it adds a table and columns that release does not read.
-- Locks: uploads, exclusively, for a moment: no row is rewritten and none is read.

ALTER TABLE uploads ADD COLUMN part_bytes bigint;
ALTER TABLE uploads ADD COLUMN multipart text;

COMMENT ON COLUMN uploads.part_bytes IS 'Size of all its parts but the last; NULL where it grows with their number, or there are none.';
COMMENT ON COLUMN uploads.multipart IS 'What S3 calls the unfinished object; NULL before the first part and once it is put together.';

CREATE TABLE parts (
    upload_id  uuid    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number     integer NOT NULL CHECK (number BETWEEN 1 AND 10000),
    end_byte   bigint  NOT NULL CHECK (end_byte > 0),
    etag       text    NOT NULL,
    PRIMARY KEY (upload_id, number)
);

COMMENT ON TABLE parts IS 'Parts of unfinished objects that S3 has; their bytes are no longer in Postgres.';
COMMENT ON COLUMN parts.upload_id IS 'The file.';
COMMENT ON COLUMN parts.number IS 'Counts the parts from 1, as S3 does; at most 10,000.';
COMMENT ON COLUMN parts.end_byte IS 'Where in the file the part ends.';
COMMENT ON COLUMN parts.etag IS 'What S3 wants to hear of the part when the object is put together.';
