//! The server is killed (SIGKILL) at random moments while files arrive. After each
//! kill every acknowledged byte is looked for in the store; at the end every file is
//! read back.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::sender::{Count, PATCH_BYTES_MAX, Sender};
use crate::{Chance, Site, Storage, Who};

/// Sizes of the files: below a chunk up to many.
const FILE_BYTES: std::ops::Range<u64> = 100_000..24_000_000;

/// How long the server lives between two kills.
const LIFE_MILLISECONDS: std::ops::Range<u64> = 5..500;

/// What stands in a file of the disk store before the bytes of the upload.
const DISK_HEADER_BYTES: u64 = 4096;

/// A campaign.
pub struct Kills {
    /// How often the server is killed.
    pub kills: usize,
    /// Files on their way at once.
    pub at_once: usize,
    /// Where bytes are kept.
    pub storage: Storage,
    /// Repeats the run, but for what the machine does.
    pub seed: u64,
}

/// What came of it; every promise was kept.
#[derive(Debug)]
pub struct Killed {
    /// Files that were uploaded and read back.
    pub files: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Bytes handed to the network beyond those.
    pub sent_again: usize,
    /// How often an upload under way was looked for in the store.
    pub looks: usize,
}

/// Those uploads that are on their way now, by id.
type Live = Arc<Mutex<HashMap<String, Arc<Count>>>>;

#[derive(Default)]
struct Tally {
    files: AtomicUsize,
    bytes: AtomicUsize,
    sent: AtomicUsize,
    over: AtomicBool,
}

impl Kills {
    /// The most that may have to be sent again: what each sender has under way at each
    /// kill, which is one request.
    pub fn sent_again_max(&self) -> usize {
        let request = usize::try_from(PATCH_BYTES_MAX).unwrap_or(usize::MAX);
        (self.kills * self.at_once).saturating_mul(request)
    }

    /// Runs the campaign.
    ///
    /// # Errors
    /// When a promise was broken; the message says which.
    pub async fn run(self) -> Result<Killed> {
        let mut site = Site::start_with(&self.storage.settings())?;
        let who = site.who("dev@example.com", "member")?;
        let mut chance = Chance::new(self.seed);
        let (live, tally) = (Live::default(), Arc::<Tally>::default());
        let senders: Vec<_> = (0..self.at_once)
            .map(|_| {
                let chance = Chance::new(chance.number());
                let (live, tally) = (Arc::clone(&live), Arc::clone(&tally));
                tokio::spawn(keep_sending(site.url(), who.clone(), chance, live, tally))
            })
            .collect();
        let mut looks = 0;
        for kill in 1..=self.kills {
            let life = Duration::from_millis(chance.within(LIFE_MILLISECONDS));
            tokio::time::sleep(life).await;
            site.kill()?;
            let looked = look(&site, self.storage.folder(), &live);
            looks += looked.with_context(|| format!("after kill {kill}, seed {}", self.seed))?;
            site.run()?;
        }
        tally.over.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await??;
        }
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        Ok(Killed {
            files: count(&tally.files),
            bytes: count(&tally.bytes),
            sent_again: count(&tally.sent) - count(&tally.bytes),
            looks,
        })
    }
}

/// Uploads one file after the other, each read back, until the campaign is over.
async fn keep_sending(
    site: String,
    who: Who,
    mut chance: Chance,
    live: Live,
    tally: Arc<Tally>,
) -> Result<()> {
    while !tally.over.load(Ordering::SeqCst) {
        let length = usize::try_from(chance.within(FILE_BYTES))?;
        let sender = Sender::announce(&site, &who, length, chance.number()).await?;
        known(&live).insert(sender.id(), Arc::clone(&sender.count));
        sender.send(Chance::new(chance.number())).await?;
        sender.verify().await?;
        known(&live).remove(&sender.id());
        sender.remove().await?;
        tally.files.fetch_add(1, Ordering::SeqCst);
        tally.bytes.fetch_add(sender.length(), Ordering::SeqCst);
        let sent = sender.count.sent.load(Ordering::SeqCst);
        tally.sent.fetch_add(sent, Ordering::SeqCst);
    }
    Ok(())
}

fn known(live: &Live) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Count>>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares what was acknowledged of each upload with what its row says, and that
/// with what its store holds. Nobody serves meanwhile. How many were compared.
fn look(site: &Site, folder: Option<&Path>, live: &Live) -> Result<usize> {
    // First, so that nothing is acknowledged after the rows are read.
    let acknowledged: Vec<(String, usize)> = known(live)
        .iter()
        .map(|(id, count)| (id.clone(), count.acknowledged.load(Ordering::SeqCst)))
        .collect();
    let rows = site.database().query(
        "SELECT id || ' ' || stored_bytes || ' ' || store || ' ' || (SELECT coalesce(sum(octet_length(data)), 0) \
         FROM chunks WHERE upload_id = uploads.id AND start_byte < stored_bytes) AS value \
         FROM uploads",
    )?;
    let rows: HashMap<&str, Vec<&str>> = rows
        .iter()
        .filter_map(|row| {
            let (id, rest) = row.split_once(' ')?;
            Some((id, rest.split(' ').collect()))
        })
        .collect();
    for (id, acknowledged) in &acknowledged {
        let row = rows.get(id.as_str()).context("an upload has no row")?;
        let [stored, store, in_chunks] = row.as_slice() else {
            bail!("a row has other columns: {row:?}");
        };
        let stored: u64 = stored.parse()?;
        ensure!(
            u64::try_from(*acknowledged)? <= stored,
            "upload {id}: {acknowledged} bytes were acknowledged, and its row says {stored}"
        );
        let held = match (*store, folder) {
            ("postgres", _) => in_chunks.parse()?,
            ("disk", Some(folder)) => bytes_in_file(folder, id)?,
            // Elsewhere only the end tells, when the file is read back.
            _ => stored,
        };
        ensure!(
            stored <= held,
            "upload {id}: its row says {stored} bytes, and its store holds {held}"
        );
    }
    Ok(acknowledged.len())
}

fn bytes_in_file(folder: &Path, id: &str) -> Result<u64> {
    let path = folder.join(&id[id.len() - 2..]).join(id);
    let length = std::fs::metadata(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?
        .len();
    Ok(length.saturating_sub(DISK_HEADER_BYTES))
}
