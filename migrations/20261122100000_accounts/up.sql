-- What: accounts, and the three ways to act as one: session, sign-in link, API token.
-- Safe beside the previous release: yes, it adds tables nobody reads yet.
-- Locks: none on existing tables.

CREATE TABLE accounts (
    id            uuid        PRIMARY KEY,
    email         text        NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email = lower(email)),
    password_hash text,
    role          text        NOT NULL CHECK (role IN ('member', 'administrator')),
    disabled_at   timestamptz,
    seq           bigint      NOT NULL DEFAULT 1 CHECK (seq >= 1),
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_email_unique UNIQUE (email)
);

COMMENT ON TABLE accounts IS 'Everybody who may sign in.';
COMMENT ON COLUMN accounts.id IS 'Version 7 UUID.';
COMMENT ON COLUMN accounts.email IS 'In lower case; what a person signs in with.';
COMMENT ON COLUMN accounts.password_hash IS 'Argon2id in PHC form; NULL while only links sign the account in.';
COMMENT ON COLUMN accounts.role IS 'member or administrator.';
COMMENT ON COLUMN accounts.disabled_at IS 'Since when nothing may be done in its name; NULL means it may.';
COMMENT ON COLUMN accounts.seq IS 'Counts changes to the list of what the account may see.';
COMMENT ON COLUMN accounts.created_at IS 'When it was added.';

CREATE TABLE sessions (
    token_sha256 bytea       PRIMARY KEY CHECK (octet_length(token_sha256) = 32),
    account_id   uuid        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);

CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

COMMENT ON TABLE sessions IS 'Browsers that are signed in.';
COMMENT ON COLUMN sessions.token_sha256 IS 'SHA-256 of the token in the cookie; the token itself is nowhere.';
COMMENT ON COLUMN sessions.account_id IS 'Who is signed in.';
COMMENT ON COLUMN sessions.created_at IS 'When the person signed in.';
COMMENT ON COLUMN sessions.seen_at IS 'Last use, to within a minute; idle sessions end.';
COMMENT ON COLUMN sessions.expires_at IS 'When it ends however much it is used.';

CREATE TABLE sign_in_links (
    token_sha256 bytea       PRIMARY KEY CHECK (octet_length(token_sha256) = 32),
    account_id   uuid        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);

CREATE INDEX sign_in_links_account_id ON sign_in_links (account_id);

COMMENT ON TABLE sign_in_links IS 'Links that sign an account in once.';
COMMENT ON COLUMN sign_in_links.token_sha256 IS 'SHA-256 of the token in the link; the token itself is nowhere.';
COMMENT ON COLUMN sign_in_links.account_id IS 'Who it signs in.';
COMMENT ON COLUMN sign_in_links.created_at IS 'When it was made.';
COMMENT ON COLUMN sign_in_links.expires_at IS 'Until when it works.';
COMMENT ON COLUMN sign_in_links.used_at IS 'When it was used; it works no more.';

CREATE TABLE api_tokens (
    id           uuid        PRIMARY KEY,
    account_id   uuid        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    token_sha256 bytea       NOT NULL CHECK (octet_length(token_sha256) = 32),
    scopes       text[]      NOT NULL CHECK (scopes <@ ARRAY['upload', 'read', 'admin'] AND cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_tokens_token_sha256_unique UNIQUE (token_sha256)
);

CREATE INDEX api_tokens_account_id ON api_tokens (account_id);

COMMENT ON TABLE api_tokens IS 'Bearer tokens of scripts.';
COMMENT ON COLUMN api_tokens.id IS 'What a person calls it by when revoking it.';
COMMENT ON COLUMN api_tokens.account_id IS 'In whose name it acts.';
COMMENT ON COLUMN api_tokens.name IS 'What it is for, in its owner''s words.';
COMMENT ON COLUMN api_tokens.token_sha256 IS 'SHA-256 of the token; the token itself was shown once.';
COMMENT ON COLUMN api_tokens.scopes IS 'What it may do: upload, read, admin.';
COMMENT ON COLUMN api_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN api_tokens.expires_at IS 'Until when it works.';
COMMENT ON COLUMN api_tokens.used_at IS 'Last use, to within a minute.';
COMMENT ON COLUMN api_tokens.revoked_at IS 'When it was taken back.';
