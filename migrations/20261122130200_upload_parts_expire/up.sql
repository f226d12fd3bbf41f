-- What: finds the parts of concatenations whose time has run out, without reading other files.
-- Safe beside the previous release: yes, an index only.
-- Locks: none; it is built beside the traffic.

CREATE INDEX CONCURRENTLY uploads_parts_expire ON uploads (expires_at)
    WHERE concat = 'partial' AND state = 'stored' AND removed_at IS NULL;
