//! How many requests wait for news, of everybody and of each account.
//!
//! It never makes anybody wait for a place: there is one, or there is none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use slipway_core::AccountId;

/// Requests of this process that may wait at once. Each keeps a connection with its
/// two buffers, about 20 KB: 20 MB together.
const WAITS_MAX: usize = 1000;

/// Of one account. A browser opens six connections to a host at most, and a page
/// waits on two of them: this is five browsers at their limit.
const ACCOUNT_WAITS_MAX: usize = 32;

/// The places of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<AccountId, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The process has none.
    #[error("too many requests wait for news here; try again in a moment")]
    Process,
    /// The account has none.
    #[error(
        "this account has {ACCOUNT_WAITS_MAX} requests waiting; end some, or use the WebSocket"
    )]
    Account,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    waits: Waits,
    account: AccountId,
}

impl Waits {
    /// Takes a place for a request of `account`.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(&self, account: AccountId) -> Result<Place, NoPlace> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= WAITS_MAX {
            return Err(NoPlace::Process);
        }
        let of = taken.of.entry(account).or_default();
        if *of >= ACCOUNT_WAITS_MAX {
            return Err(NoPlace::Account);
        }
        *of += 1;
        taken.all += 1;
        Ok(Place {
            waits: self.clone(),
            account,
        })
    }

    /// How many are taken.
    pub fn open(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.waits.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(of) = taken.of.get_mut(&self.account) {
            *of -= 1;
            if *of == 0 {
                taken.of.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_places_and_no_more() {
        let (waits, account) = (Waits::default(), AccountId::new());

        let places: Vec<Place> = (0..ACCOUNT_WAITS_MAX)
            .map(|_| waits.take(account).unwrap())
            .collect();

        assert_eq!(waits.take(account).unwrap_err(), NoPlace::Account);
        assert!(waits.take(AccountId::new()).is_ok());
        drop(places);
        assert_eq!(waits.open(), 0);
        assert!(waits.take(account).is_ok());
    }

    #[test]
    fn the_process_has_its_places_and_no_more() {
        let waits = Waits::default();

        let places: Vec<Place> = (0..WAITS_MAX)
            .map(|_| waits.take(AccountId::new()).unwrap())
            .collect();

        assert_eq!(waits.open(), WAITS_MAX);
        assert_eq!(waits.take(AccountId::new()).unwrap_err(), NoPlace::Process);
        drop(places);
        assert_eq!(waits.open(), 0);
    }
}
