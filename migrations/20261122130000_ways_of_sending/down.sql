-- What: takes back the ways of sending; assemblies that have not ended are lost.
-- Safe beside the previous release: no, a release that announces files of either kind needs the columns.
-- Locks: uploads and jobs, for an instant each.

DELETE FROM jobs WHERE kind = 'assemble';
ALTER TABLE jobs
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('inspect'));
DROP TABLE upload_parts;
ALTER TABLE uploads
    DROP CONSTRAINT uploads_finished_never_expire,
    DROP CONSTRAINT uploads_concat_bounded,
    DROP COLUMN concat,
    DROP COLUMN explicit_end;
