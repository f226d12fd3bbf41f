DROP INDEX uploads_sweepable;
