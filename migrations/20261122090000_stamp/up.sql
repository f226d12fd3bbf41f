-- What: the stamp that says what this database is, and a guard against other migration tools.
-- Safe beside the previous release: yes, it adds a table nobody reads yet.
-- Locks: none on existing tables but the list of migrations, for the time of one CREATE TRIGGER.

CREATE TABLE slipway_stamp (
    only_row          boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    version           integer     NOT NULL CHECK (version >= 1),
    environment       text        NOT NULL CHECK (environment IN ('development', 'test', 'preview', 'staging', 'production')),
    app_id            uuid,
    shared_with       uuid[]      NOT NULL DEFAULT '{}',
    system_identifier bigint,
    database_oid      bigint      NOT NULL CHECK (database_oid > 0),
    database_name     text        NOT NULL,
    marked            boolean     NOT NULL,
    stamped_at        timestamptz NOT NULL DEFAULT now(),
    stamped_by        text        NOT NULL
);

COMMENT ON TABLE slipway_stamp IS 'What this database is, in one row; written with the first migration and changed by `slipway db adopt`, or by a release that finds the database of its own app moved.';
COMMENT ON COLUMN slipway_stamp.only_row IS 'True; keeps a second row out.';
COMMENT ON COLUMN slipway_stamp.version IS 'Form of the stamp; an older release believes nothing of a newer form.';
COMMENT ON COLUMN slipway_stamp.environment IS 'What the database is for.';
COMMENT ON COLUMN slipway_stamp.app_id IS 'SLIPWAY_APP_ID of the app it belongs to; NULL if that had none.';
COMMENT ON COLUMN slipway_stamp.shared_with IS 'Ids of other apps that may use it, written by hand.';
COMMENT ON COLUMN slipway_stamp.system_identifier IS 'pg_control_system() of the cluster that was stamped; NULL if that may not be read.';
COMMENT ON COLUMN slipway_stamp.database_oid IS 'Number of the database that was stamped. A copy has another one, or is in another cluster.';
COMMENT ON COLUMN slipway_stamp.database_name IS 'Its name then.';
COMMENT ON COLUMN slipway_stamp.marked IS 'Whether the comment on the database was written too; a plain dump leaves that behind.';
COMMENT ON COLUMN slipway_stamp.stamped_at IS 'When it was written.';
COMMENT ON COLUMN slipway_stamp.stamped_by IS 'The release that wrote it, and for what.';

-- Whoever migrates without the guard, the lock and the records of `slipway migrate` would
-- leave a schema that nobody can account for: the transaction of such a tool fails here.
CREATE FUNCTION slipway_refuse_other_migrators() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('slipway.migrating', true) IS DISTINCT FROM 'yes' THEN
        RAISE EXCEPTION 'this database is migrated by "slipway migrate" alone'
            USING HINT = 'Run "slipway migrate"; it takes turns, keeps records, and knows what this database is.';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION slipway_refuse_other_migrators() IS 'Fails unless the session is one of `slipway migrate`.';

CREATE TRIGGER slipway_refuse_other_migrators
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON __diesel_schema_migrations
    FOR EACH STATEMENT EXECUTE FUNCTION slipway_refuse_other_migrators();
