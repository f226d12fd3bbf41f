ALTER TABLE sign_in_links DROP COLUMN sets_password;
ALTER TABLE sessions DROP COLUMN network, DROP COLUMN agent;
DROP TABLE sign_in_attempts;
DROP TABLE security_events;
