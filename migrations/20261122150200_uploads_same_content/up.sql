-- What: finds stored files with the same content.
-- Safe beside the previous release: yes, an index only.
-- Locks: none; it is built beside the traffic.

CREATE INDEX CONCURRENTLY uploads_same_content ON uploads (sha256, id)
    WHERE state = 'stored' AND removed_at IS NULL;
