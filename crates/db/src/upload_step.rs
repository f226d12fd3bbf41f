//! One step of an upload in the middle of its file, as one statement: move the row and
//! store the bytes, or neither.
//!
//! Diesel has no words for a statement that changes two tables. Told apart from
//! `sql_query`, this one is prepared once for each connection.

use bytes::Bytes;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types};
use uuid::Uuid;

use crate::{Advance, Chunk, Claim};

/// The statement; it answers with the owner, or with nothing if the claim is lost.
#[derive(QueryId)]
pub(crate) struct StepWithChunk {
    id: Uuid,
    writer: i64,
    from: i64,
    to: i64,
    hash_state: Option<Vec<u8>>,
    rate: Option<i64>,
    state: &'static str,
    start: i64,
    data: Bytes,
}

impl StepWithChunk {
    pub(crate) fn new(claim: &Claim, step: &Advance, chunk: &Chunk) -> Self {
        Self {
            id: claim.id().to_uuid(),
            writer: claim.writer(),
            from: claim.stored().to_i64(),
            to: step.to.to_i64(),
            hash_state: step.hash_state.clone(),
            rate: step.rate.and_then(|rate| i64::try_from(rate).ok()),
            state: claim.state().as_str(),
            start: chunk.start.to_i64(),
            data: chunk.data.clone(),
        }
    }
}

impl QueryFragment<Pg> for StepWithChunk {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The WHERE clause is the lock: of two connections with the same bytes only the
        // newer claim still matches a row.
        out.push_sql("WITH moved AS (UPDATE uploads SET stored_bytes = ");
        out.push_bind_param::<BigInt, _>(&self.to)?;
        out.push_sql(", hash_state = ");
        out.push_bind_param::<Nullable<Binary>, _>(&self.hash_state)?;
        out.push_sql(", rate = ");
        out.push_bind_param::<Nullable<BigInt>, _>(&self.rate)?;
        out.push_sql(", seq = seq + 1 WHERE id = ");
        out.push_bind_param::<sql_types::Uuid, _>(&self.id)?;
        out.push_sql(" AND writer = ");
        out.push_bind_param::<BigInt, _>(&self.writer)?;
        out.push_sql(" AND stored_bytes = ");
        out.push_bind_param::<BigInt, _>(&self.from)?;
        out.push_sql(" AND state = ");
        out.push_bind_param::<Text, _>(self.state)?;
        out.push_sql(
            " AND removed_at IS NULL RETURNING id, owner_id), \
             kept AS (INSERT INTO chunks (upload_id, start_byte, data) SELECT id, ",
        );
        out.push_bind_param::<BigInt, _>(&self.start)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, [u8]>(&self.data)?;
        out.push_sql(" FROM moved) SELECT owner_id FROM moved");
        Ok(())
    }
}

impl Query for StepWithChunk {
    type SqlType = sql_types::Uuid;
}

impl RunQueryDsl<PgConnection> for StepWithChunk {}
