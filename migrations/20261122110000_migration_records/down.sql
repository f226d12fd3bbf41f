DROP TABLE slipway_migrations;
