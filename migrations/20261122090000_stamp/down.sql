DROP TRIGGER slipway_refuse_other_migrators ON __diesel_schema_migrations;
DROP FUNCTION slipway_refuse_other_migrators();
DROP TABLE slipway_stamp;
