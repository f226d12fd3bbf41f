//! The stamp: read before anything else, written with the first migration.
//!
//! It never decides what a stamp means; the guard does.

mod adopt;

use std::net::IpAddr;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use slipway_config::{ApprovedDatabase, Found, Identity, STAMP_VERSION, Stamp, StampSeen, marker};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::slipway_stamp;

pub use adopt::{AdoptError, Scrubbed, adopt};

/// How long each statement of the look may take: a table that is locked for longer is
/// no answer, and whoever starts is not kept waiting.
const LOOK_TIMEOUT: &str = "SET LOCAL statement_timeout = '3s'";

/// Reads stamp, identity and marker in one read-only transaction.
pub(crate) fn look(connection: &mut PgConnection) -> QueryResult<Found> {
    connection
        .build_transaction()
        .read_only()
        .run(|connection| {
            connection.batch_execute(LOOK_TIMEOUT)?;
            look_in_txn(connection)
        })
}

/// The same in a transaction that does more.
fn look_in_txn(connection: &mut PgConnection) -> QueryResult<Found> {
    let place = place(connection)?;
    let here = identity(connection, &place)?;
    let stamp = match (place.stamp_there, place.stamp_readable) {
        (false, _) if place.occupied => StampSeen::Unstamped,
        (false, _) => StampSeen::Empty,
        (true, false) => StampSeen::Unreadable("the role may not read it".to_owned()),
        (true, true) => read(connection)?,
    };
    let server = place
        .server
        .and_then(|address| address.parse::<IpAddr>().ok());
    Ok(Found {
        stamp,
        here,
        marker: place.marker,
        server,
    })
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    oid: i64,
    #[diesel(sql_type = Nullable<Text>)]
    server: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    marker: Option<String>,
    #[diesel(sql_type = Bool)]
    system_readable: bool,
    #[diesel(sql_type = Bool)]
    stamp_there: bool,
    #[diesel(sql_type = Bool)]
    stamp_readable: bool,
    #[diesel(sql_type = Bool)]
    occupied: bool,
}

/// What the catalogue tells without reading a table of ours. What extensions have
/// brought is nobody's data.
fn place(connection: &mut PgConnection) -> QueryResult<Place> {
    diesel::sql_query(
        "SELECT datname::text AS name, d.oid::bigint AS oid, host(inet_server_addr()) AS server, \
             shobj_description(d.oid, 'pg_database') AS marker, \
             has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS system_readable, \
             to_regclass('slipway_stamp') IS NOT NULL AS stamp_there, \
             coalesce(has_table_privilege(to_regclass('slipway_stamp'), 'SELECT'), false) AS stamp_readable, \
             EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
                   AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
                   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass \
                       AND e.objid = c.oid AND e.deptype = 'e')) AS occupied \
         FROM pg_database d WHERE datname = current_database()",
    )
    .get_result(connection)
}

fn identity(connection: &mut PgConnection, place: &Place) -> QueryResult<Identity> {
    #[derive(QueryableByName)]
    struct System {
        #[diesel(sql_type = BigInt)]
        system_identifier: i64,
    }
    let system = if place.system_readable {
        let found: System = diesel::sql_query("SELECT system_identifier FROM pg_control_system()")
            .get_result(connection)?;
        Some(found.system_identifier)
    } else {
        None
    };
    Ok(Identity {
        system,
        oid: place.oid,
        name: place.name.clone(),
    })
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = slipway_stamp)]
struct Row {
    environment: String,
    app_id: Option<Uuid>,
    shared_with: Vec<Uuid>,
    system_identifier: Option<i64>,
    database_oid: i64,
    database_name: String,
    marked: bool,
    stamped_at: OffsetDateTime,
    stamped_by: String,
}

fn read(connection: &mut PgConnection) -> QueryResult<StampSeen> {
    // First, because a newer form may have other columns.
    let versions: Vec<i32> = slipway_stamp::table
        .select(slipway_stamp::version)
        .load(connection)?;
    match versions.as_slice() {
        [] => return Ok(StampSeen::Unstamped),
        [version] if *version <= STAMP_VERSION => {}
        _ => {
            return Ok(StampSeen::Unreadable(
                "a newer release has written it".to_owned(),
            ));
        }
    }
    let row: Row = slipway_stamp::table
        .select(Row::as_select())
        .first(connection)?;
    let Ok(environment) = row.environment.parse() else {
        return Ok(StampSeen::Unreadable(
            "it names an environment that this release does not know".to_owned(),
        ));
    };
    Ok(StampSeen::Is(Box::new(Stamp {
        environment,
        app_id: row.app_id,
        shared_with: row.shared_with,
        identity: Identity {
            system: row.system_identifier,
            oid: row.database_oid,
            name: row.database_name,
        },
        marked: row.marked,
        stamped_at: row.stamped_at,
        stamped_by: row.stamped_by,
    })))
}

/// Says in this transaction what the database is, and marks it. Other apps that shared
/// it keep doing so, unless it becomes another thing.
pub(crate) fn write_in_txn(
    connection: &mut PgConnection,
    approved: &ApprovedDatabase,
    what_for: &str,
) -> QueryResult<()> {
    use slipway_stamp as column;
    let place = place(connection)?;
    let here = identity(connection, &place)?;
    let (environment, app_id) = (approved.environment(), approved.app_id());
    let marked = mark(connection, &here, &marker(environment, app_id, &here))?;
    let shared_with: Vec<Vec<Uuid>> = column::table
        .filter(column::environment.eq(environment.as_str()))
        .select(column::shared_with)
        .load(connection)?;
    diesel::delete(column::table).execute(connection)?;
    diesel::insert_into(column::table)
        .values((
            column::version.eq(STAMP_VERSION),
            column::environment.eq(environment.as_str()),
            column::app_id.eq(app_id),
            column::shared_with.eq(shared_with.concat()),
            column::system_identifier.eq(here.system),
            column::database_oid.eq(here.oid),
            column::database_name.eq(&here.name),
            column::marked.eq(marked),
            column::stamped_by.eq(format!("slipway {}, {what_for}", env!("CARGO_PKG_VERSION"))),
        ))
        .execute(connection)
        .map(drop)
}

/// Comments on the database; false if the role may not, because it is not the owner.
fn mark(connection: &mut PgConnection, here: &Identity, marker: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Owner {
        #[diesel(sql_type = Bool)]
        owner: bool,
    }
    let found: Owner = diesel::sql_query(
        "SELECT pg_has_role(datdba, 'USAGE') AS owner FROM pg_database WHERE datname = current_database()",
    )
    .get_result(connection)?;
    if found.owner {
        // No statement of this kind takes parameters. The marker is made of our own
        // words and digits.
        let name = here.name.replace('"', "\"\"");
        connection.batch_execute(&format!("COMMENT ON DATABASE \"{name}\" IS '{marker}'"))?;
    }
    Ok(found.owner)
}

/// Whether there is a place for a stamp yet; one migration makes it.
pub(crate) fn has_place(connection: &mut PgConnection) -> QueryResult<bool> {
    place(connection).map(|place| place.stamp_there)
}
