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
