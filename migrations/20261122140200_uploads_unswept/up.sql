-- What: finds the uploads whose bytes are still to be swept from a store outside the database.
-- Safe beside the previous release: yes, an index only.
-- Locks: none; it is built beside the traffic.

CREATE INDEX CONCURRENTLY uploads_unswept ON uploads (store, id)
    WHERE swept_at IS NULL AND store <> 'postgres' AND (removed_at IS NOT NULL OR state = 'expired');
