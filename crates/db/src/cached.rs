//! Statements that are prepared once for each connection, though Diesel would not dare.
//!
//! It takes every UPDATE, and whatever has SQL in it as text, for one that may read
//! differently each time, and so has it parsed and planned for each call: another round
//! trip, and the larger part of what a small statement costs. Those that are marked here
//! read the same each time, or in very few ways: an entry of the cache is found by the
//! whole text, so even a mistake would cost memory and never another's statement.
//!
//! It never marks what is built at run time: every text stays for as long as its
//! connection.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{PgConnection, QueryResult, RunQueryDsl};

/// A statement with few texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cached<Q>(Q);

/// Marks a statement as one with few texts.
pub(crate) trait Cache: Sized {
    /// The same, prepared once for each connection.
    fn cached(self) -> Cached<Self> {
        Cached(self)
    }
}

impl<Q: QueryFragment<Pg>> Cache for Q {}

impl<Q> QueryId for Cached<Q> {
    type QueryId = ();

    // Found by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Cached<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q: Query> Query for Cached<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> RunQueryDsl<PgConnection> for Cached<Q> {}
