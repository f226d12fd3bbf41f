//! Looking at uploads and jobs, and taking uploads away.
//!
//! It never tells a stranger that something exists: foreign things are missing.

use anyhow::Context;
use slipway_core::{
    AccountId, Action, ByteCount, EventKind, JobId, Network, Sha256Digest, Topic, UploadId,
    UploadState,
};
use slipway_db::{Job, NewEvent, Taken, Twin, Upload};
use time::OffsetDateTime;

use crate::{By, Caller, Denied, Ingest};

/// Entries of one page of a list.
const PAGE_ENTRIES: u16 = 50;

/// Why something was not shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none, at least not for this caller.
    #[error("there is no such thing here")]
    Missing,
    /// It was there; it was removed or has expired.
    #[error("this upload was removed or has expired")]
    Gone,
    /// The caller may not do that to anything.
    #[error(transparent)]
    NotAllowed(#[from] Denied),
    /// Something broke on our side.
    #[error("it could not be read")]
    Fault(#[from] anyhow::Error),
}

/// Whose entries a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The caller's.
    Own,
    /// Everybody's.
    All,
}

impl Listed {
    /// Whose entries the database is asked for; `None` is everybody's.
    fn owner(self, caller: &Caller) -> Result<Option<AccountId>, Denied> {
        match self {
            Self::Own => Ok(Some(caller.id())),
            Self::All => caller.may(Action::EverythingList).map(|()| None),
        }
    }
}

/// Some entries of a list, and where the next ones begin.
#[derive(Debug, Clone)]
pub struct Page<T, Cursor> {
    /// The entries.
    pub entries: Vec<T>,
    /// What to ask for next; `None` at the end.
    pub next: Option<Cursor>,
}

/// Where an upload stands, for the sender who holds its key.
#[derive(Debug, Clone)]
pub struct Offset {
    /// Bytes that are durable.
    pub stored: ByteCount,
    /// Size, once it is known.
    pub total: Option<ByteCount>,
    /// The `Upload-Metadata` header as it came.
    pub metadata: String,
    /// How far it has got.
    pub state: UploadState,
    /// Whether its sender says when it is complete; else its size does.
    pub explicit_end: bool,
    /// Its part in a concatenation, as announced.
    pub concat: Option<String>,
    /// Until when its sender may go on; `None` once it is stored.
    pub expires_at: Option<OffsetDateTime>,
    /// The digest of the file, once it is stored.
    pub sha256: Option<Sha256Digest>,
}

impl Offset {
    /// Whether it is put together from others.
    pub fn is_final(&self) -> bool {
        slipway_db::is_final(self.concat.as_deref())
    }
}

impl From<Upload> for Offset {
    fn from(upload: Upload) -> Self {
        Self {
            stored: upload.stored,
            total: upload.total,
            metadata: upload.metadata,
            state: upload.state,
            explicit_end: upload.explicit_end,
            concat: upload.concat,
            expires_at: upload.expires_at,
            sha256: upload.sha256,
        }
    }
}

impl Ingest {
    /// Says where an upload stands and ends whatever connection was sending it,
    /// so that the answer holds until the sender's next bytes.
    ///
    /// # Errors
    /// When there is no such upload, it is gone, or on a fault.
    pub async fn offset(&self, id: UploadId) -> Result<Offset, ReadError> {
        // What a connection of this process has in hand is better stored than sent
        // again; one of another process is fenced off by the number alone.
        self.holders.flush(id).await;
        let taken = self.db.upload_take(id).await;
        match taken.context("looking at the upload")? {
            Taken::Missing => Err(ReadError::Missing),
            Taken::Is { upload, writer } => {
                self.holders.supersede(id, writer);
                if is_lost(&upload) {
                    return Err(ReadError::Gone);
                }
                Ok(Offset::from(*upload))
            }
        }
    }

    /// Says where an upload stands and disturbs nobody: what it says may be
    /// outdated at once.
    ///
    /// # Errors
    /// When there is no such upload, it is gone, or on a fault.
    pub async fn glance(&self, id: UploadId) -> Result<Offset, ReadError> {
        let upload = self.db.upload_get(id).await.context("finding the upload")?;
        match upload {
            None => Err(ReadError::Missing),
            Some(upload) if is_lost(&upload) => Err(ReadError::Gone),
            Some(upload) => Ok(Offset::from(upload)),
        }
    }

    /// Removes the upload of a key, finished or not. The trail tells of it if somebody
    /// asked for it.
    ///
    /// # Errors
    /// When there is no such upload, it is gone, or on a fault.
    pub async fn remove_by_key(&self, id: UploadId, by: Option<By>) -> Result<(), ReadError> {
        let upload = self.db.upload_get(id).await.context("finding the upload")?;
        let upload = upload.ok_or(ReadError::Missing)?;
        let event = by.map(|by| removal(&by, &upload));
        if is_gone(&upload) || !self.take_away(id, event).await? {
            return Err(ReadError::Gone);
        }
        Ok(())
    }

    /// Removes an upload of the caller's.
    ///
    /// # Errors
    /// When it is not there for the caller, or on a fault.
    pub async fn remove(
        &self,
        caller: &Caller,
        network: Network,
        id: UploadId,
    ) -> Result<(), ReadError> {
        caller.may(Action::UploadRemove)?;
        let upload = self.visible(caller, id).await?;
        let event = removal(&By::Caller(caller.clone(), network), &upload);
        if !self.take_away(id, Some(event)).await? {
            return Err(ReadError::Missing);
        }
        Ok(())
    }

    async fn take_away(&self, id: UploadId, event: Option<NewEvent>) -> anyhow::Result<bool> {
        let removed = self.db.upload_remove(id, event).await;
        let removed = removed.context("removing the upload")?;
        if removed {
            // A removed upload is never claimed again.
            self.holders.supersede(id, i64::MAX);
            tracing::info!(upload = %id, "upload {id} removed");
        }
        Ok(removed)
    }

    /// One upload and its jobs.
    ///
    /// # Errors
    /// When it is not there for the caller, or on a fault.
    pub async fn upload(
        &self,
        caller: &Caller,
        id: UploadId,
    ) -> Result<(Upload, Vec<Job>), ReadError> {
        caller.may(Action::UploadSee)?;
        self.upload_with_jobs(caller, id).await
    }

    /// The same for whoever has just sent it.
    ///
    /// # Errors
    /// When it is not there for the caller, or on a fault.
    pub async fn received(
        &self,
        caller: &Caller,
        id: UploadId,
    ) -> Result<(Upload, Vec<Job>), ReadError> {
        caller.may(Action::UploadCreate)?;
        self.upload_with_jobs(caller, id).await
    }

    /// Another stored file with the same content, the oldest there is, if the caller
    /// may see one.
    ///
    /// # Errors
    /// On a fault.
    pub async fn twin(&self, caller: &Caller, upload: &Upload) -> Result<Option<Twin>, ReadError> {
        if upload.state != UploadState::Stored || caller.may(Action::UploadSee).is_err() {
            return Ok(None);
        }
        let owner = (!caller.reaches_all()).then(|| caller.id());
        let twin = self.db.upload_twin(upload.id, owner).await;
        Ok(twin.context("looking for the same content")?)
    }

    async fn upload_with_jobs(
        &self,
        caller: &Caller,
        id: UploadId,
    ) -> Result<(Upload, Vec<Job>), ReadError> {
        let found = self
            .db
            .upload_get_with_jobs(id)
            .await
            .context("finding the upload")?;
        found
            .filter(|(upload, _)| caller.may_reach(upload.owner))
            .ok_or(ReadError::Missing)
    }

    /// Uploads with their jobs, newest first.
    ///
    /// # Errors
    /// When the caller may not list them, or on a fault.
    pub async fn uploads(
        &self,
        caller: &Caller,
        listed: Listed,
        after: Option<UploadId>,
    ) -> Result<Page<(Upload, Vec<Job>), UploadId>, ReadError> {
        caller.may(Action::UploadList)?;
        let owner = listed.owner(caller)?;
        let entries = self
            .db
            .upload_list(owner, after, PAGE_ENTRIES + 1)
            .await
            .context("listing uploads")?;
        Ok(page(entries, |(upload, _): &(Upload, Vec<Job>)| upload.id))
    }

    /// One job.
    ///
    /// # Errors
    /// When it is not there for the caller, or on a fault.
    pub async fn job(&self, caller: &Caller, id: JobId) -> Result<Job, ReadError> {
        caller.may(Action::JobSee)?;
        let found = self.db.job_get(id).await.context("finding the job")?;
        match found {
            Some((job, owner)) if caller.may_reach(owner) => Ok(job),
            _ => Err(ReadError::Missing),
        }
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// When the caller may not list them, or on a fault.
    pub async fn jobs(
        &self,
        caller: &Caller,
        listed: Listed,
        after: Option<JobId>,
    ) -> Result<Page<Job, JobId>, ReadError> {
        caller.may(Action::JobList)?;
        let owner = listed.owner(caller)?;
        let jobs = self
            .db
            .job_list(owner, after, PAGE_ENTRIES + 1)
            .await
            .context("listing jobs")?;
        Ok(page(jobs, |job: &Job| job.id))
    }

    /// Whether the caller may follow a topic.
    ///
    /// # Errors
    /// On a fault.
    pub async fn may_follow(&self, caller: &Caller, topic: Topic) -> anyhow::Result<bool> {
        if caller.may(Action::ProgressFollow).is_err() {
            return Ok(false);
        }
        let asked = match topic {
            Topic::Account(id) => return Ok(caller.may_reach(id)),
            Topic::Upload(id) => self.visible(caller, id).await.map(drop),
            Topic::Job(id) => self.job(caller, id).await.map(drop),
        };
        match asked {
            Ok(()) => Ok(true),
            Err(ReadError::Fault(fault)) => Err(fault),
            Err(_) => Ok(false),
        }
    }

    pub(super) async fn visible(&self, caller: &Caller, id: UploadId) -> Result<Upload, ReadError> {
        let upload = self.db.upload_get(id).await.context("finding the upload")?;
        caller.sees(upload).ok_or(ReadError::Missing)
    }
}

fn removal(by: &By, upload: &Upload) -> NewEvent {
    let event = by.event(EventKind::UploadRemoved, upload.id.to_string());
    NewEvent {
        detail: Some(upload.name.clone()),
        ..event
    }
}

fn is_gone(upload: &Upload) -> bool {
    upload.removed_at.is_some() || upload.state == UploadState::Expired
}

/// Whether its sender can only start over.
fn is_lost(upload: &Upload) -> bool {
    is_gone(upload) || upload.state == UploadState::Failed
}

/// Cuts a list that was asked for with one entry too many.
fn page<T, Cursor>(mut entries: Vec<T>, cursor: impl Fn(&T) -> Cursor) -> Page<T, Cursor> {
    let more = entries.len() > usize::from(PAGE_ENTRIES);
    entries.truncate(PAGE_ENTRIES.into());
    let next = if more {
        entries.last().map(cursor)
    } else {
        None
    };
    Page { entries, next }
}
