//! What is true of every table.

use super::*;

#[tokio::test]
async fn every_column_is_documented_and_every_reference_is_indexed_and_cascades() {
    let bench = bench().await;
    let undocumented = bench
        .database
        .query(
            "SELECT attrelid::regclass || '.' || attname AS value FROM pg_attribute \
             JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' \
             WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped \
               AND relname <> '__diesel_schema_migrations' AND col_description(attrelid, attnum) IS NULL",
        )
        .unwrap();
    assert_eq!(undocumented, Vec::<String>::new());

    let careless = bench
        .database
        .query(
            "SELECT conrelid::regclass || ' ' || conname AS value FROM pg_constraint \
             WHERE contype = 'f' AND (confdeltype <> 'c' OR NOT EXISTS ( \
                 SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]))",
        )
        .unwrap();
    assert_eq!(careless, Vec::<String>::new());
}

#[tokio::test]
async fn the_schema_that_queries_are_checked_against_is_the_migrated_one() {
    let bench = bench().await;
    let source = include_str!("../schema.rs");
    let ours: Vec<String> = source
        .split("diesel::table!")
        .skip(1)
        .flat_map(|table| {
            let name = table
                .split('(')
                .next()
                .unwrap()
                .trim_start_matches([' ', '{', '\n'])
                .trim();
            let name = name.to_owned();
            table
                .lines()
                .filter_map(|line| line.split_once(" -> "))
                .filter(|(column, _)| !column.contains("joinable"))
                .map(move |(column, kind)| {
                    format!("{name}.{} {}", column.trim(), kind.trim_end_matches(','))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut ours: Vec<&str> = ours
        .iter()
        .map(String::as_str)
        .filter(|line| !line.contains("accounts ("))
        .collect();
    ours.sort_unstable();

    let mut theirs = bench
        .database
        .query(
            "SELECT attrelid::regclass || '.' || attname || ' ' || \
                 CASE WHEN attnotnull THEN kind ELSE 'Nullable<' || kind || '>' END AS value \
             FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r', \
             LATERAL (SELECT CASE format_type(atttypid, NULL) \
                 WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'bigint' THEN 'BigInt' \
                 WHEN 'integer' THEN 'Integer' WHEN 'boolean' THEN 'Bool' WHEN 'bytea' THEN 'Binary' \
                 WHEN 'jsonb' THEN 'Jsonb' WHEN 'text[]' THEN 'Array<Text>' WHEN 'uuid[]' THEN 'Array<Uuid>' \
                 WHEN 'timestamp with time zone' THEN 'Timestamptz' ELSE 'unknown' END AS kind) kinds \
             WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped \
               AND relname <> '__diesel_schema_migrations'",
        )
        .unwrap();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn every_migration_can_be_taken_back_and_made_again() {
    let bench = bench().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let mut changes: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    changes.sort();
    let script =
        |change: &std::path::Path, name: &str| std::fs::read_to_string(change.join(name)).unwrap();
    let schema = "SELECT string_agg(table_name || '.' || column_name || ' ' || data_type, ', ' \
                  ORDER BY table_name, ordinal_position) AS value FROM information_schema.columns \
                  WHERE table_schema = 'public' AND table_name <> '__diesel_schema_migrations'";
    let before = bench.database.query(schema).unwrap();

    for change in changes.iter().rev() {
        bench.database.execute(&script(change, "down.sql")).unwrap();
    }
    let tables = "SELECT tablename::text AS value FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(
        bench.database.query(tables).unwrap(),
        ["__diesel_schema_migrations"]
    );
    for change in &changes {
        bench.database.execute(&script(change, "up.sql")).unwrap();
    }

    assert_eq!(bench.database.query(schema).unwrap(), before);
}
