//! How libpq itself reads an address, and which variables it would obey besides.
//!
//! The only room with `unsafe` in it: libpq speaks C. What it allocates is copied
//! and freed here, and nothing of it leaves. It never passes on the text of an error
//! of libpq's, because that repeats the address.
#![expect(unsafe_code, reason = "libpq is a library in C; see the module")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

/// What an address sets, by the keyword that a connection string has for it.
pub(super) type Options = BTreeMap<String, String>;

/// One of libpq's options.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keyword {
    pub(super) name: String,
    /// The variable that fills it where a connection string leaves it open.
    pub(super) variable: String,
}

/// What libpq reads in a text; `None` if it refuses to.
pub(super) fn read(text: &str) -> Option<Options> {
    let entries = entries(text)?.into_iter();
    Some(
        entries
            .filter_map(|entry| Some((entry.keyword, entry.value?)))
            .collect(),
    )
}

/// Every option that a variable fills, as this libpq knows them.
pub(super) fn steered_by_variables() -> Vec<Keyword> {
    let entries = entries("").unwrap_or_default().into_iter();
    entries
        .filter_map(|entry| {
            Some(Keyword {
                name: entry.keyword,
                variable: entry.variable?,
            })
        })
        .collect()
}

struct Entry {
    keyword: String,
    variable: Option<String>,
    value: Option<String>,
}

fn entries(text: &str) -> Option<Vec<Entry>> {
    let text = CString::new(text).ok()?;
    let mut complaint: *mut c_char = ptr::null_mut();
    // SAFETY: `text` is a C string that outlives the call, and `complaint` a place for
    // one pointer. The answer is null or an array of ours to free.
    let first = unsafe { pq_sys::PQconninfoParse(text.as_ptr(), &raw mut complaint) };
    if !complaint.is_null() {
        // SAFETY: libpq has allocated it for us and does not look at it again.
        unsafe { pq_sys::PQfreemem(complaint.cast()) };
    }
    if first.is_null() {
        return None;
    }
    let mut entries = Vec::new();
    let mut at = first;
    // SAFETY: the array ends with an entry whose keyword is null, and `at` never goes
    // beyond that; each text is null or a C string that lives until the array is freed
    // below, and is copied before.
    unsafe {
        while let Some(keyword) = owned((*at).keyword) {
            entries.push(Entry {
                keyword,
                variable: owned((*at).envvar),
                value: owned((*at).val),
            });
            at = at.add(1);
        }
        pq_sys::PQconninfoFree(first);
    }
    Some(entries)
}

/// A copy of a C string; `None` of null. What is not UTF-8 keeps its readable part,
/// which no check of ours lets through.
///
/// # Safety
/// `text` is null or points to a C string.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| {
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    })
}

/// What libpq says of a connection that it has made, for tests to compare with what an
/// address says.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// `PQhost`.
    pub host: String,
    /// `PQhostaddr`.
    pub hostaddr: String,
    /// `PQport`.
    pub port: String,
    /// `PQdb`.
    pub database: String,
    /// `PQuser`.
    pub user: String,
}

#[cfg(feature = "testing")]
impl Live {
    /// Connects as libpq reads `text`, variables and all, asks, and goes; `None` if
    /// there is no connection.
    pub fn by(text: &str) -> Option<Self> {
        let text = CString::new(text).ok()?;
        // SAFETY: `text` is a C string that outlives the call; what it returns is null or
        // a connection, which is finished below on every way.
        let connection = unsafe { pq_sys::PQconnectdb(text.as_ptr()) };
        if connection.is_null() {
            return None;
        }
        // SAFETY: the connection is not null; each answer is null or a C string that
        // lives as long as the connection, and is copied before that ends.
        unsafe {
            let ok = pq_sys::PQstatus(connection) == pq_sys::ConnStatusType::CONNECTION_OK;
            let live = ok.then(|| Self {
                host: owned(pq_sys::PQhost(connection)).unwrap_or_default(),
                hostaddr: owned(pq_sys::PQhostaddr(connection)).unwrap_or_default(),
                port: owned(pq_sys::PQport(connection)).unwrap_or_default(),
                database: owned(pq_sys::PQdb(connection)).unwrap_or_default(),
                user: owned(pq_sys::PQuser(connection)).unwrap_or_default(),
            });
            pq_sys::PQfinish(connection);
            live
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpq_reads_what_its_manual_says() {
        let options = read("postgresql://u:p%40@h.example.com:6000/d?sslmode=require").unwrap();

        let set: Vec<(&str, &str)> = options
            .iter()
            .map(|(keyword, value)| (keyword.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            set,
            [
                ("dbname", "d"),
                ("host", "h.example.com"),
                ("password", "p@"),
                ("port", "6000"),
                ("sslmode", "require"),
                ("user", "u"),
            ]
        );
        assert_eq!(read("postgres://h/d?HOST=x"), None);
        assert_eq!(read("postgres://h/d?a"), None);
        assert_eq!(read("a\0b"), None);
    }

    #[test]
    fn the_variables_that_steer_libpq_are_its_own_to_tell() {
        let keywords = steered_by_variables();

        let variable = |name: &str| {
            let found = keywords.iter().find(|keyword| keyword.name == name);
            found.map(|keyword| keyword.variable.as_str())
        };
        assert_eq!(variable("hostaddr"), Some("PGHOSTADDR"));
        assert_eq!(variable("service"), Some("PGSERVICE"));
        assert!(keywords.len() > 25, "{keywords:?}");
    }
}
