-- A constraint cannot be made unproven again, and need not be.
SELECT 1;
