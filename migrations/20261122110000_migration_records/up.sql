-- What: a record of every migration: which file ran, from which release, when, how long.
-- Safe beside the previous release: yes, it adds a table that release does not read.
-- Locks: none on existing tables.

CREATE TABLE slipway_migrations (
    version        text        PRIMARY KEY CHECK (version ~ '^[0-9]{14}$'),
    sha256         bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    binary_version text,
    started_at     timestamptz,
    finished_at    timestamptz NOT NULL,
    duration_ms    bigint      CHECK (duration_ms >= 0),
    tries          integer     CHECK (tries >= 1)
);

COMMENT ON TABLE slipway_migrations IS 'What ran to make this schema; whether it ran is told by __diesel_schema_migrations.';
COMMENT ON COLUMN slipway_migrations.version IS 'The digits that the name of its folder begins with.';
COMMENT ON COLUMN slipway_migrations.sha256 IS 'SHA-256 of its up.sql; a binary with another text for it is refused.';
COMMENT ON COLUMN slipway_migrations.binary_version IS 'The release that ran it; NULL if it ran before there were records.';
COMMENT ON COLUMN slipway_migrations.started_at IS 'When the try that succeeded began; NULL if it ran before there were records.';
COMMENT ON COLUMN slipway_migrations.finished_at IS 'When it was done.';
COMMENT ON COLUMN slipway_migrations.duration_ms IS 'How long the try that succeeded took; NULL if it ran before there were records.';
COMMENT ON COLUMN slipway_migrations.tries IS 'How often it was tried; more than one where locks of others were in its way. NULL if it ran before there were records.';
