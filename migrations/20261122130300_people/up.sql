-- What: the audit trail, attempts to sign in, whence a session is used, and links that set a password.
-- Safe beside the previous release: yes; it writes none of this, and of the new columns it needs no value.
-- Locks: sessions and sign_in_links exclusively for an instant: the columns are nullable or have a constant default.

CREATE TABLE security_events (
    id      uuid        PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    kind    text        NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 40),
    actor   text        CHECK (char_length(actor) <= 300),
    subject text        CHECK (char_length(subject) <= 300),
    network text        CHECK (char_length(network) <= 50),
    detail  text        CHECK (char_length(detail) <= 300)
);

COMMENT ON TABLE security_events IS 'What happened to accounts, sessions, tokens and uploads, for administrators. Rows are only added, and leave after a year.';
COMMENT ON COLUMN security_events.id IS 'Version 7 UUID: the order of the trail.';
COMMENT ON COLUMN security_events.at IS 'When it happened.';
COMMENT ON COLUMN security_events.kind IS 'What happened; the words are those of slipway_core::EventKind.';
COMMENT ON COLUMN security_events.actor IS 'Who did it: an address, or the command line; NULL if nobody was proven to be anybody. A copy, so that it outlives the account.';
COMMENT ON COLUMN security_events.subject IS 'Whom or what it was done to, where that is another: an address, an id.';
COMMENT ON COLUMN security_events.network IS 'Where it came from: a /24 of IPv4 or a /64 of IPv6.';
COMMENT ON COLUMN security_events.detail IS 'Anything else that tells, never a secret.';

CREATE TABLE sign_in_attempts (
    subject  text        PRIMARY KEY CHECK (char_length(subject) <= 300),
    attempts integer     NOT NULL CHECK (attempts >= 1),
    ends_at  timestamptz NOT NULL
);

COMMENT ON TABLE sign_in_attempts IS 'Attempts to sign in by password, counted over a while for each address and each network.';
COMMENT ON COLUMN sign_in_attempts.subject IS 'Whose attempts: "account ADDRESS", known or not, or "network PREFIX".';
COMMENT ON COLUMN sign_in_attempts.attempts IS 'How many since the while began; those that succeeded are taken out again.';
COMMENT ON COLUMN sign_in_attempts.ends_at IS 'When the while ends and counting begins anew.';

ALTER TABLE sessions
    ADD COLUMN agent text,
    ADD COLUMN network text;

COMMENT ON COLUMN sessions.agent IS 'What the browser calls itself, cut to 200 characters; for the person who looks through the list.';
COMMENT ON COLUMN sessions.network IS 'Where the person signed in from: a /24 of IPv4 or a /64 of IPv6.';

ALTER TABLE sign_in_links
    ADD COLUMN sets_password boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN sign_in_links.sets_password IS 'Whether whoever uses it chooses a password first: an invitation, or a password forgotten.';
