-- What: finds the uploads whose bytes are still to be swept, without reading those that are kept.
-- Safe beside the previous release: yes, an index only.
-- Locks: none; it is built beside the traffic.

CREATE INDEX CONCURRENTLY uploads_sweepable ON uploads (id)
    WHERE swept_at IS NULL AND (removed_at IS NOT NULL OR state = 'expired');
