-- What: looks whether the rows there are keep the constraints of the change before.
-- Safe beside the previous release: yes, it writes no row that breaks one.
-- Locks: none that hold up reading or writing rows; uploads and jobs are read once.

ALTER TABLE uploads VALIDATE CONSTRAINT uploads_concat_bounded;
ALTER TABLE uploads VALIDATE CONSTRAINT uploads_finished_never_expire;
ALTER TABLE jobs VALIDATE CONSTRAINT jobs_kind_check;
