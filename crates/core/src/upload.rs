//! What an upload can be, which moves between its states are legal, and the names
//! of the places where bytes are kept.
//!
//! It never says how bytes arrive or how a place keeps them.

use crate::words::words;

words! {
    /// How far a file has got.
    UploadState("upload state") {
        /// Bytes are missing.
        Receiving = "receiving",
        /// All bytes are here and are being put together or checked.
        Verifying = "verifying",
        /// Whole, with its SHA-256; never changes again.
        Stored = "stored",
        /// Cannot become whole; the message says why.
        Failed = "failed",
        /// Was not finished in time; its bytes are gone.
        Expired = "expired",
    }
}

words! {
    /// Where the bytes of a file are kept; fixed when the file is announced.
    StoreKind("store") {
        /// In rows of the database.
        Postgres = "postgres",
        /// In files below a folder.
        Disk = "disk",
        /// In objects of an S3 bucket; what does not fill a part yet, in the database.
        S3 = "s3",
    }
}

impl UploadState {
    /// Whether an upload may go from this state to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (
                Self::Receiving,
                Self::Verifying | Self::Stored | Self::Failed | Self::Expired
            ) | (Self::Verifying, Self::Stored | Self::Failed)
                | (Self::Stored, Self::Failed)
        )
    }

    /// Whether progress is still to be expected.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Receiving | Self::Verifying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_is_left_for_an_earlier_one() {
        for from in UploadState::ALL {
            assert!(!from.may_become(UploadState::Receiving), "{from}");
            assert!(!UploadState::Expired.may_become(*from));
            assert!(!UploadState::Failed.may_become(*from));
        }
    }

    #[test]
    fn a_word_reads_back_and_an_unknown_one_is_named() {
        for state in UploadState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        let error = "done".parse::<UploadState>().unwrap_err();
        assert_eq!(error.to_string(), "unknown upload state \"done\"");
    }
}
