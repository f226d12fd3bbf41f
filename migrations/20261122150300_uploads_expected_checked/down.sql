-- What: nothing; a constraint that was looked after cannot be made unlooked after.
-- Safe beside the previous release: yes.
-- Locks: none.

SELECT 1;
