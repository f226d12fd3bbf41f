DROP TABLE chunks;
DROP TABLE uploads;
