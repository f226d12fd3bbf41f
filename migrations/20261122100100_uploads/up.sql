-- What: files on their way in or arrived, and their bytes.
-- Safe beside the previous release: yes, it adds tables nobody reads yet.
-- Locks: none on existing tables.

CREATE TABLE uploads (
    id           uuid        PRIMARY KEY,
    owner_id     uuid        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
    media_type   text        CHECK (char_length(media_type) <= 255),
    metadata     text        NOT NULL DEFAULT '' CHECK (octet_length(metadata) <= 8192),
    state        text        NOT NULL DEFAULT 'receiving'
                             CHECK (state IN ('receiving', 'verifying', 'stored', 'failed', 'expired')),
    total_bytes  bigint      CHECK (total_bytes >= 0),
    stored_bytes bigint      NOT NULL DEFAULT 0 CHECK (stored_bytes >= 0),
    writer       bigint      NOT NULL DEFAULT 0,
    hash_state   bytea,
    sha256       bytea       CHECK (octet_length(sha256) = 32),
    rate         bigint      CHECK (rate >= 0),
    message      text,
    inspection   jsonb,
    seq          bigint      NOT NULL DEFAULT 1 CHECK (seq >= 1),
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    expires_at   timestamptz,
    removed_at   timestamptz,
    CONSTRAINT uploads_stored_within_total CHECK (stored_bytes <= total_bytes),
    CONSTRAINT uploads_stored_is_whole CHECK (state <> 'stored' OR (stored_bytes = total_bytes AND sha256 IS NOT NULL))
);

CREATE INDEX uploads_owner_id_id ON uploads (owner_id, id DESC);
CREATE INDEX uploads_removed_at ON uploads (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX uploads_expires_at ON uploads (expires_at) WHERE state = 'receiving';

COMMENT ON TABLE uploads IS 'Files on their way in, or arrived.';
COMMENT ON COLUMN uploads.id IS 'Version 7 UUID, so that ids sort by time.';
COMMENT ON COLUMN uploads.owner_id IS 'Who announced it.';
COMMENT ON COLUMN uploads.name IS 'What its owner calls it; shown, never a path.';
COMMENT ON COLUMN uploads.media_type IS 'What it is: as announced, then as found in its bytes.';
COMMENT ON COLUMN uploads.metadata IS 'The Upload-Metadata header as it came, for HEAD to give back.';
COMMENT ON COLUMN uploads.state IS 'receiving, verifying, stored, failed or expired.';
COMMENT ON COLUMN uploads.total_bytes IS 'Size that was announced; NULL until it is known.';
COMMENT ON COLUMN uploads.stored_bytes IS 'Durable bytes from the start of the file; only ever grows.';
COMMENT ON COLUMN uploads.writer IS 'Counts connections that claimed the upload; only the newest may advance it.';
COMMENT ON COLUMN uploads.hash_state IS 'SHA-256 of the stored bytes, not yet finished, to go on from.';
COMMENT ON COLUMN uploads.sha256 IS 'SHA-256 of the whole file, once it is stored.';
COMMENT ON COLUMN uploads.rate IS 'Bytes per second as they last became durable.';
COMMENT ON COLUMN uploads.message IS 'Why it failed, for a person.';
COMMENT ON COLUMN uploads.inspection IS 'What the inspection found.';
COMMENT ON COLUMN uploads.seq IS 'Counts changes; the position of viewers.';
COMMENT ON COLUMN uploads.created_at IS 'When it was announced.';
COMMENT ON COLUMN uploads.finished_at IS 'When it left receiving for good.';
COMMENT ON COLUMN uploads.expires_at IS 'Until when its sender may go on; NULL once it is stored.';
COMMENT ON COLUMN uploads.removed_at IS 'When it was removed; its bytes are swept, the row answers 410.';

CREATE TABLE chunks (
    upload_id  uuid   NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    start_byte bigint NOT NULL CHECK (start_byte >= 0),
    data       bytea  NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 8388608),
    PRIMARY KEY (upload_id, start_byte)
);

COMMENT ON TABLE chunks IS 'Bytes of files that are kept in Postgres.';
COMMENT ON COLUMN chunks.upload_id IS 'The file.';
COMMENT ON COLUMN chunks.start_byte IS 'Where in the file the chunk begins.';
COMMENT ON COLUMN chunks.data IS 'At most 8 MiB, because every copy of it is held whole in memory.';

-- The default compression is slower than a disk. lz4 costs next to nothing and
-- shrinks text to a third, but not every server was built with it.
DO $$
BEGIN
    ALTER TABLE chunks ALTER COLUMN data SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    ALTER TABLE chunks ALTER COLUMN data SET STORAGE EXTERNAL;
END
$$;
