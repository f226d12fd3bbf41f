//! The one listening connection of a process.
//!
//! Notifications are hints and rows are truth: whatever was missed is found by
//! reading the rows, so nothing here is stored, replayed or waited for. The
//! connection never does anything but listen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::{QueryResult, RunQueryDsl};
use slipway_config::ApprovedDatabase;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::connect::connect;
use crate::pooler::{POOLED, shares_sessions};

/// The channel that all processes on one database share.
pub(crate) const CHANNEL: &str = "slipway_progress";

/// How often the connection is looked at while somebody watches: libpq shows no
/// socket to wait on, and one look is one non-blocking read.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How often it is looked at while nobody watches.
const LOOK_EVERY_IDLE: Duration = Duration::from_millis(250);

/// How often the connection is asked for a sign of life: a peer that vanished
/// sends nothing, and neither does a quiet one.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Pauses between attempts to connect: the first and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// How long a notification to ourselves may take; it takes a millisecond.
const ECHO_WAIT: Duration = Duration::from_secs(2);

/// How often that is looked for.
const ECHO_LOOK_EVERY: Duration = Duration::from_millis(5);

/// Pause where listening is no use, because notifications do not come through: only
/// another address would help, so this is only for a pooler that is set up anew.
const PAUSE_DEAF: Duration = Duration::from_secs(60);

/// Payloads that may wait for the reader. When it is that far behind, one
/// "read everything" is cheaper than a thousand hints.
const HEARD_WAITING_MAX: usize = 1024;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Listening has begun, or begun again: anything may have changed before.
    Listening,
    /// A process rang; the text is what it passed to `progress_notify`.
    Payload(String),
    /// The connection is lost; nothing will be heard until it is made again.
    Lost,
}

/// A thread that listens for as long as this value lives.
pub struct Listener {
    heard: mpsc::Receiver<Heard>,
    watched: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
}

impl Listener {
    /// Begins to listen, and goes on after every loss until dropped.
    ///
    /// # Errors
    /// When the operating system refuses the thread.
    pub fn start(approved: &ApprovedDatabase) -> std::io::Result<Self> {
        let (sender, heard) = mpsc::channel(HEARD_WAITING_MAX);
        let watched = Arc::new(AtomicBool::new(false));
        let stopping = Arc::new(AtomicBool::new(false));
        let ear = Ear {
            approved: approved.clone(),
            sender,
            watched: Arc::clone(&watched),
            stopping: Arc::clone(&stopping),
            behind: false,
        };
        std::thread::Builder::new()
            .name("slipway-listen".to_owned())
            .spawn(|| ear.listen())?;
        Ok(Self {
            heard,
            watched,
            stopping,
        })
    }

    /// Says whether anybody watches, and so how soon a notification matters.
    pub fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Waits for the next thing heard; `None` when the thread has ended.
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// What the thread owns.
struct Ear {
    approved: ApprovedDatabase,
    sender: mpsc::Sender<Heard>,
    watched: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
    behind: bool,
}

impl Ear {
    fn listen(mut self) {
        let (mut pause, mut said_deaf) = (PAUSE_FIRST, false);
        while !self.stopping() {
            match self.listen_once() {
                Ok(()) => return,
                Err(Ended::NeverConnected(error)) => {
                    tracing::warn!(%error, "cannot listen for progress; trying again");
                }
                Err(Ended::Deaf(reason)) => {
                    if !said_deaf {
                        tracing::error!(
                            "cannot listen for progress, which is read twice a second instead: {reason}"
                        );
                    }
                    said_deaf = true;
                    self.sleep(PAUSE_DEAF);
                    continue;
                }
                Err(Ended::Lost(error)) => {
                    tracing::warn!(%error, "the listening connection is lost; connecting again");
                    pause = PAUSE_FIRST;
                    self.tell(Heard::Lost);
                }
            }
            std::thread::sleep(pause.mul_f64(jitter()));
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    fn listen_once(&mut self) -> Result<(), Ended> {
        let mut connection = connect(&self.approved)
            .map_err(|error| Ended::NeverConnected(error.to_string()))?
            .connection;
        if shares_sessions(&mut connection, &self.approved)
            .map_err(|error| Ended::NeverConnected(error.to_string()))?
        {
            return Err(Ended::Deaf(POOLED.to_owned()));
        }
        let hears = hears_itself(&mut connection, ECHO_WAIT)
            .map_err(|error| Ended::NeverConnected(error.to_string()))?;
        if !hears {
            return Err(Ended::Deaf(format!(
                "a notification to ourselves did not come back within {} s; something between \
                 this process and the database keeps it: use the direct address of the database",
                ECHO_WAIT.as_secs()
            )));
        }
        connection
            .batch_execute(&format!("LISTEN {CHANNEL}"))
            .map_err(|error| Ended::NeverConnected(error.to_string()))?;
        self.tell(Heard::Listening);
        self.hear(&mut connection)
            .map_err(|error| Ended::Lost(error.to_string()))
    }

    /// Hears until told to stop or until the connection breaks.
    fn hear(&mut self, connection: &mut PgConnection) -> QueryResult<()> {
        let mut pinged = Instant::now();
        while !self.stopping() {
            let heard: Vec<_> = connection
                .notifications_iter()
                .collect::<QueryResult<_>>()?;
            for notification in heard {
                self.tell(Heard::Payload(notification.payload));
            }
            if self.behind {
                self.tell(Heard::Listening);
            }
            if pinged.elapsed() >= PING_EVERY {
                diesel::sql_query("SELECT 1").execute(connection)?;
                pinged = Instant::now();
            }
            let watched = self.watched.load(Ordering::Relaxed);
            std::thread::sleep(if watched { LOOK_EVERY } else { LOOK_EVERY_IDLE });
        }
        Ok(())
    }

    /// Passes on what was heard; what does not fit is replaced, as soon as there
    /// is room, by word that anything may have changed.
    fn tell(&mut self, heard: Heard) {
        let told = self.sender.try_send(heard);
        self.behind = matches!(told, Err(mpsc::error::TrySendError::Full(_)));
        if matches!(told, Err(mpsc::error::TrySendError::Closed(_))) {
            self.stopping.store(true, Ordering::Relaxed);
        }
    }

    /// Sleeps, but not on when there is nobody to listen for.
    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stopping() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY_IDLE);
        }
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Whether what is notified on this connection is heard on it, tried on a channel of its
/// own.
pub(crate) fn hears_itself(connection: &mut PgConnection, wait: Duration) -> QueryResult<bool> {
    let channel = format!("slipway_echo_{}", Uuid::new_v4().simple());
    connection.batch_execute(&format!("LISTEN {channel}"))?;
    connection.batch_execute(&format!("NOTIFY {channel}"))?;
    let began = Instant::now();
    let mut heard = false;
    while !heard && began.elapsed() < wait {
        for notification in connection.notifications_iter() {
            heard |= notification?.channel == channel;
        }
        if !heard {
            std::thread::sleep(ECHO_LOOK_EVERY);
        }
    }
    connection.batch_execute(&format!("UNLISTEN {channel}"))?;
    Ok(heard)
}

enum Ended {
    NeverConnected(String),
    /// Connected, but nothing would be heard.
    Deaf(String),
    Lost(String),
}

/// Between one half and one, so that processes that lost the database together
/// do not come back together. Taken from the clock: this needs to be uneven,
/// not unpredictable.
pub(crate) fn jitter() -> f64 {
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    0.5 + f64::from(nanoseconds % 1_000) / 2_000.0
}
