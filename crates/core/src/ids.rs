//! One identifier type per kind of thing, so that two of them never get mixed up.
//!
//! It never decides who may use an id: an id is a name, not a permission.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID such as 0190a1b2-0000-7000-8000-000000000000")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id. Version 7: ids sort by the time they were made (RFC 9562 section 5.7).
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as the database holds it.
            pub const fn to_uuid(self) -> Uuid {
                self.0
            }

            /// An id that a database row holds.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the hyphenated form and no other, so that one thing has one name.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(uuid) if text.len() == 36 => Ok(Self(uuid)),
                    _ => Err(InvalidId),
                }
            }
        }
    };
}

id! {
    /// A file on its way in, or arrived.
    UploadId
}
id! {
    /// A piece of work done after the request that caused it.
    JobId
}
id! {
    /// Somebody who may sign in.
    AccountId
}
id! {
    /// One request, in the log and in what its sender is told.
    RequestId
}
id! {
    /// One run of one of our processes; a platform may reuse every other name.
    ProcessId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_own_text() {
        let id = UploadId::new();

        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        let plain = UploadId::new().to_uuid().as_simple().to_string();

        for text in [
            "",
            "x",
            plain.as_str(),
            "{0190a1b2-0000-7000-8000-000000000000}",
        ] {
            assert_eq!(text.parse::<UploadId>(), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let first = JobId::new();
        let second = JobId::new();

        assert!(first < second);
    }
}
