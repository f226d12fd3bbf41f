DROP INDEX uploads_unswept;
