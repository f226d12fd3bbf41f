DROP INDEX uploads_same_content;
