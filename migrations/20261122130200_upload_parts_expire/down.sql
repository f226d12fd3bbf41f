DROP INDEX uploads_parts_expire;
