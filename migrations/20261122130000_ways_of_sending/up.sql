-- What: files that end when their sender says so, and files put together from others.
-- Safe beside the previous release: yes, it reads none of this; a job of the new kind waits for the new release.
-- Locks: uploads and jobs, for an instant each: columns without a rewrite, constraints without a scan.

ALTER TABLE uploads ADD COLUMN explicit_end boolean NOT NULL DEFAULT false;
ALTER TABLE uploads ADD COLUMN concat text;
ALTER TABLE uploads ADD CONSTRAINT uploads_concat_bounded CHECK (octet_length(concat) <= 8192) NOT VALID;
ALTER TABLE uploads ADD CONSTRAINT uploads_finished_never_expire CHECK (state <> 'expired' OR sha256 IS NULL) NOT VALID;

COMMENT ON COLUMN uploads.explicit_end IS 'Whether its sender says when it is complete (the IETF draft); else it is when its size is reached (tus).';
COMMENT ON COLUMN uploads.concat IS 'The Upload-Concat header as it came, for HEAD to give back; NULL for a file of its own.';

CREATE TABLE upload_parts (
    final_id uuid    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    position integer NOT NULL CHECK (position >= 0),
    part_id  uuid    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    PRIMARY KEY (final_id, position)
);

CREATE INDEX upload_parts_part_id ON upload_parts (part_id);

COMMENT ON TABLE upload_parts IS 'What files are put together from (tus, concatenation).';
COMMENT ON COLUMN upload_parts.final_id IS 'The file that is put together.';
COMMENT ON COLUMN upload_parts.position IS 'Where in the order, from 0 on; the same part may come twice.';
COMMENT ON COLUMN upload_parts.part_id IS 'The part.';

-- The one that takes its place allows more.
-- squawk-ignore ban-drop-constraint
ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('inspect', 'assemble')) NOT VALID;
