-- What: the queue of work that outlives the request that caused it.
-- Safe beside the previous release: yes, it adds a table nobody reads yet.
-- Locks: none on existing tables.

CREATE TABLE jobs (
    id           uuid        PRIMARY KEY,
    upload_id    uuid        NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    kind         text        NOT NULL CHECK (kind IN ('inspect')),
    state        text        NOT NULL DEFAULT 'queued'
                             CHECK (state IN ('queued', 'running', 'done', 'refused', 'failed', 'cancelled')),
    step         text,
    done         bigint      NOT NULL DEFAULT 0 CHECK (done >= 0),
    total        bigint      CHECK (total >= 0),
    unit         text        NOT NULL DEFAULT 'bytes',
    rate         bigint      CHECK (rate >= 0),
    attempt      integer     NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    attempts_max integer     NOT NULL DEFAULT 5 CHECK (attempts_max >= 1),
    run_after    timestamptz NOT NULL DEFAULT now(),
    lease_until  timestamptz,
    cancelling   boolean     NOT NULL DEFAULT false,
    checkpoint   jsonb,
    message      text,
    seq          bigint      NOT NULL DEFAULT 1 CHECK (seq >= 1),
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    CONSTRAINT jobs_leased_while_running CHECK ((state = 'running') = (lease_until IS NOT NULL))
);

CREATE INDEX jobs_upload_id ON jobs (upload_id);
CREATE INDEX jobs_claimable ON jobs (run_after) WHERE state IN ('queued', 'running');

COMMENT ON TABLE jobs IS 'Work that outlives the request that caused it.';
COMMENT ON COLUMN jobs.id IS 'Version 7 UUID.';
COMMENT ON COLUMN jobs.upload_id IS 'The file it works on.';
COMMENT ON COLUMN jobs.kind IS 'What it does.';
COMMENT ON COLUMN jobs.state IS 'queued, running, done, refused, failed or cancelled.';
COMMENT ON COLUMN jobs.step IS 'What it is busy with, for a person.';
COMMENT ON COLUMN jobs.done IS 'How much is done in this attempt, in units; never falls within an attempt.';
COMMENT ON COLUMN jobs.total IS 'How much there is to do; NULL until it is known.';
COMMENT ON COLUMN jobs.unit IS 'What done and total count.';
COMMENT ON COLUMN jobs.rate IS 'Units per second, lately.';
COMMENT ON COLUMN jobs.attempt IS 'Which try this is; only the worker of the newest may report.';
COMMENT ON COLUMN jobs.attempts_max IS 'After so many tries it has failed.';
COMMENT ON COLUMN jobs.run_after IS 'Not before; moves into the future between attempts.';
COMMENT ON COLUMN jobs.lease_until IS 'Until when its worker must have reported; past it, anybody may take over.';
COMMENT ON COLUMN jobs.cancelling IS 'Somebody asked for it to stop.';
COMMENT ON COLUMN jobs.checkpoint IS 'Where the next attempt goes on.';
COMMENT ON COLUMN jobs.message IS 'Its outcome, for a person.';
COMMENT ON COLUMN jobs.seq IS 'Counts changes; the position of viewers.';
COMMENT ON COLUMN jobs.created_at IS 'When it was asked for.';
COMMENT ON COLUMN jobs.started_at IS 'When its first attempt began.';
COMMENT ON COLUMN jobs.finished_at IS 'When it came to rest.';
