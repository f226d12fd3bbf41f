//! What somebody who signs in, or a script that bears a token, may do.
//!
//! It never decides a request: who may do what to which thing is ruled in ingest.

use crate::words::words;

words! {
    /// What an account may do beyond its own files.
    Role("role") {
        /// Own files only.
        Member = "member",
        /// Everything, including accounts.
        Administrator = "administrator",
    }
}

words! {
    /// What a bearer of an API token may do in its account's name.
    Scope("scope") {
        /// Create uploads and remove them.
        Upload = "upload",
        /// See and download.
        Read = "read",
        /// What only administrators may do, if the account is one.
        Admin = "admin",
    }
}

words! {
    /// What can be done here by whoever may; who may is the table in ingest.
    Action("action") {
        /// Announce a file and send it.
        UploadCreate = "upload:create",
        /// See uploads in a list.
        UploadList = "upload:list",
        /// See one upload.
        UploadSee = "upload:see",
        /// Get the bytes of an upload.
        UploadDownload = "upload:download",
        /// Remove an upload.
        UploadRemove = "upload:remove",
        /// See jobs in a list.
        JobList = "job:list",
        /// See one job.
        JobSee = "job:see",
        /// Cancel a job or put it back into the queue.
        JobChange = "job:change",
        /// Follow the progress of something.
        ProgressFollow = "progress:follow",
        /// See what belongs to everybody in one list.
        EverythingList = "everything:list",
        /// See one's own sessions and tokens.
        AccountSee = "account:see",
        /// Change one's own password, sessions and tokens.
        AccountChange = "account:change",
        /// See, add and change accounts.
        AccountsManage = "accounts:manage",
        /// See the audit trail.
        AuditSee = "audit:see",
    }
}

words! {
    /// What the audit trail tells.
    EventKind("event") {
        /// Somebody signed in.
        SignedIn = "signed in",
        /// A password was wrong, or nobody's.
        SignInFailed = "sign-in failed",
        /// So many were that no more are looked at for a while.
        SignInHalted = "sign-in halted",
        /// A session was ended by the person who began it.
        SignedOut = "signed out",
        /// Sessions were ended from elsewhere.
        SessionsEnded = "sessions ended",
        /// A one-time link was made.
        LinkMade = "link made",
        /// A password was chosen.
        PasswordSet = "password set",
        /// A token was made.
        TokenMade = "token made",
        /// A token was taken back.
        TokenRevoked = "token revoked",
        /// An account was added.
        AccountAdded = "account added",
        /// An account was disabled.
        AccountDisabled = "account disabled",
        /// A disabled account may sign in again.
        AccountEnabled = "account enabled",
        /// An account was given another role.
        RoleChanged = "role changed",
        /// An upload was removed.
        UploadRemoved = "upload removed",
        /// The database was adopted.
        DatabaseAdopted = "database adopted",
    }
}
