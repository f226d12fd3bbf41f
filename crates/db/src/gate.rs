//! The only place where a pooled connection exists.
//!
//! A call becomes a closure that runs, as one transaction, on one of as many
//! threads as there are connections. Before the threads stands a counter, so
//! that a slow database makes callers fail early and never pile up. No `async`
//! code here ever blocks, and no connection outlives its closure.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, CacheSize, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::{Connection, QueryResult, RunQueryDsl};
use slipway_config::{ApprovedDatabase, DatabaseSettings, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::connect::{ConnectError, connect};
use crate::pooler::{POOLED, shares_sessions};
use crate::{Db, DbError};

/// Calls that may wait for a thread, for each thread. A call takes about a
/// millisecond, so the last of 64 waits well under the deadline.
const WAITING_PER_THREAD_MAX: usize = 64;

/// Idle time after which a connection is asked for a sign of life before it is used. A
/// busy one answers every few milliseconds, and a ping for each call would be a third of
/// all round trips; what breaks within a second fails one call.
const PING_AFTER: Duration = Duration::from_secs(1);

/// How long a thread waits for a connection before the call counts as refused.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// How long a caller waits for its answer, all told: less than the 25 s after
/// which a request must have been answered.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// What every connection is told first. A statement that runs for longer than
/// its caller waits only gets in the way; a transaction that idles is a bug.
const SESSION: &str = "SET statement_timeout = '18s'; \
     SET idle_in_transaction_session_timeout = '18s'; \
     SET lock_timeout = '10s'";

/// A database whose release has not run yet is looked at so often, and so many times
/// before the pool begins anew: ready within a second of the release.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_MAX: u32 = 30;

type Work = Box<dyn FnOnce(&Pool) + Send>;
type Pool = r2d2::Pool<Connector>;

/// Threads, connections and the counter in front of them.
pub(crate) struct Gate {
    work: SyncSender<Work>,
    admission: Arc<Semaphore>,
    pool: Pool,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl Gate {
    pub(crate) fn open(
        approved: &ApprovedDatabase,
        settings: &DatabaseSettings,
    ) -> std::io::Result<Self> {
        let threads = usize::try_from(settings.pool_max).unwrap_or(usize::MAX);
        let refusal = Arc::new(Mutex::new(None));
        let connector = Connector {
            approved: approved.clone(),
            refusal: Arc::clone(&refusal),
            lent_out: OnceLock::new(),
        };
        let pool = r2d2::Pool::builder()
            .max_size(settings.pool_max)
            .min_idle(Some(1))
            // Also caps the pause between failed attempts at half of it; each
            // call states its own, shorter wait.
            .connection_timeout(Duration::from_secs(30))
            .error_handler(Box::new(LogConnectFailures))
            .build_unchecked(connector);
        let (work, queue) = sync_channel::<Work>(threads.saturating_mul(WAITING_PER_THREAD_MAX));
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..=threads {
            let (queue, pool) = (Arc::clone(&queue), pool.clone());
            std::thread::Builder::new()
                .name(format!("slipway-db-{number}"))
                .spawn(move || serve(&queue, &pool))?;
        }
        let admitted = threads
            .saturating_mul(WAITING_PER_THREAD_MAX)
            .min(Semaphore::MAX_PERMITS);
        Ok(Self {
            work,
            admission: Arc::new(Semaphore::new(admitted)),
            pool,
            refusal,
        })
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.lock();
        refusal.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let permit = Arc::clone(&self.admission)
            .try_acquire_owned()
            .or(Err(DbError::Busy { doing }))?;
        let (answer, answered) = oneshot::channel();
        let call = move |pool: &Pool| {
            let _permit: OwnedSemaphorePermit = permit;
            // Nobody waits any more: the work must not be done either.
            if !answer.is_closed() {
                // The receiver may leave while we work; its answer is lost with it.
                let _unheard = answer.send(on_connection(pool, doing, work));
            }
        };
        self.work
            .try_send(Box::new(call))
            .or(Err(DbError::Stopping { doing }))?;
        match tokio::time::timeout(CALL_DEADLINE, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DbError::Lost { doing }),
            Err(_) => Err(DbError::Busy { doing }),
        }
    }
}

/// One thread: takes closures until the sender is gone.
fn serve(queue: &Mutex<Receiver<Work>>, pool: &Pool) {
    loop {
        // A poisoned lock means that another thread panicked between taking
        // the lock and taking the work; the queue itself is whole.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // A panic costs the call its answer and nobody else anything.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(pool)));
        if outcome.is_err() {
            tracing::error!("a database call panicked");
        }
    }
}

fn on_connection<T>(
    pool: &Pool,
    doing: &'static str,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> Result<T, DbError> {
    let mut pooled = pool.get_timeout(CONNECTION_WAIT).map_err(|error| {
        tracing::warn!(doing, %error, "no database connection came free");
        DbError::Busy { doing }
    })?;
    let result = work(&mut pooled.connection);
    // A connection that has just answered needs no ping; one that failed does.
    pooled.answered_at = result.is_ok().then(Instant::now);
    result.map_err(|source| DbError::Failed { doing, source })
}

/// A connection of the pool, and when it was last seen to work.
struct Pooled {
    connection: PgConnection,
    answered_at: Option<Instant>,
}

/// Has all that a transaction reads be as of one moment. Its first statement.
pub(crate) fn at_one_moment_in_txn(connection: &mut PgConnection) -> QueryResult<()> {
    connection.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
}

/// Makes and checks pooled connections.
struct Connector {
    approved: ApprovedDatabase,
    /// What the guard said to the last attempt, if it said no.
    refusal: Arc<Mutex<Option<Refusal>>>,
    /// Whether a pooler lends out our sessions; found out once.
    lent_out: OnceLock<bool>,
}

/// Why a connection could not be made or is no longer good.
#[derive(Debug, thiserror::Error)]
enum PoolError {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Query(#[from] diesel::result::Error),
}

impl Connector {
    fn is_lent_out(&self, connection: &mut PgConnection) -> Result<bool, ConnectError> {
        if let Some(known) = self.lent_out.get() {
            return Ok(*known);
        }
        let lent_out = shares_sessions(connection, &self.approved)?;
        if lent_out {
            tracing::warn!(
                "{POOLED}; going on without prepared statements, and with progress read every few seconds"
            );
        }
        Ok(*self.lent_out.get_or_init(|| lent_out))
    }

    fn note(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

impl r2d2::ManageConnection for Connector {
    type Connection = Pooled;
    type Error = PoolError;

    /// Each new connection is asked what it leads to: a database can be replaced while
    /// a process runs.
    fn connect(&self) -> Result<Pooled, PoolError> {
        let mut looks = 1;
        let mut connection = loop {
            match connect(&self.approved) {
                Ok(connected) => break connected.connection,
                Err(ConnectError::Refused(refusal)) => {
                    let may_pass = refusal.passing && looks < LOOKS_MAX;
                    self.note(Some(refusal.clone()));
                    if !may_pass {
                        return Err(ConnectError::Refused(refusal).into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
            // The pool's own pauses grow to a quarter of a minute.
            std::thread::sleep(LOOK_EVERY);
            looks += 1;
        };
        self.note(None);
        if self.is_lent_out(&mut connection)? {
            // Limits of a session would stay behind with others, and so would
            // statements with names.
            connection.set_prepared_statement_cache_size(CacheSize::Disabled);
        } else {
            connection.batch_execute(SESSION)?;
        }
        Ok(Pooled {
            connection,
            answered_at: Some(Instant::now()),
        })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), PoolError> {
        let fresh = |at: Instant| at.elapsed() < PING_AFTER;
        if !pooled.answered_at.is_some_and(fresh) {
            diesel::sql_query("SELECT 1").execute(&mut pooled.connection)?;
        }
        Ok(())
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        std::thread::panicking()
            || AnsiTransactionManager::is_broken_transaction_manager(&mut pooled.connection)
    }
}

/// Tells the log why connections cannot be made, which the pool alone keeps to itself.
#[derive(Debug)]
struct LogConnectFailures;

impl r2d2::HandleError<PoolError> for LogConnectFailures {
    fn handle_error(&self, error: PoolError) {
        // libpq's text names host, role and database, never the password.
        match &error {
            PoolError::Connect(ConnectError::Refused(refusal)) if !refusal.passing => {
                tracing::error!("the database is {refusal}");
            }
            _ => tracing::warn!(%error, "no connection to the database could be made"),
        }
    }
}

impl Db {
    /// Runs `work` as one transaction; the single gate to the database.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let work = |connection: &mut PgConnection| connection.transaction(work);
        self.gate.call(doing, work).await
    }

    /// Runs one statement, or some of which none needs another: each is a transaction by
    /// itself, which saves two round trips.
    pub(crate) async fn run_alone<T: Send + 'static>(
        &self,
        doing: &'static str,
        statement: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DbError> {
        self.gate.call(doing, statement).await
    }

    /// Connections of the pool now: all of them, and the idle ones among them.
    pub fn connections(&self) -> (u32, u32) {
        let state = self.gate.pool.state();
        (state.connections, state.idle_connections)
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.run("asking for a sign of life", |connection| {
            diesel::sql_query("SELECT 1").execute(connection).map(drop)
        })
        .await
    }
}
