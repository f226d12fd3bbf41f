//! A chunk while it is gathered, with its share of the memory for bytes on their way.
//!
//! It never holds a byte without room for it, and its room comes back only when the
//! last copy of the bytes is gone: hashed, stored and forgotten.

use bytes::Bytes;

use crate::budget::{Budget, Room};

/// Bytes in hand.
#[derive(Debug, Default)]
pub(super) struct Hold {
    data: Vec<u8>,
    room: Option<Room>,
}

/// Bytes that change no more, with their room.
struct Frozen<T> {
    data: T,
    _room: Option<Room>,
}

/// Bytes that give this room back when their last copy is gone.
pub(super) fn with_room(data: Bytes, room: Room) -> Bytes {
    Bytes::from_owner(Frozen {
        data,
        _room: Some(room),
    })
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Frozen<T> {
    fn as_ref(&self) -> &[u8] {
        self.data.as_ref()
    }
}

impl Hold {
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// What was moved in when so many bytes were there already.
    pub(super) fn since(&self, before: usize) -> &[u8] {
        self.data.get(before..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Moves bytes in until there are `most` or none are left. Waits for room for the
    /// first of them; `false` when there is no more room at once: then what is in hand
    /// is to be stored, so that its room comes back.
    pub(super) async fn fill(&mut self, from: &mut Bytes, most: usize, budget: &Budget) -> bool {
        while !from.is_empty() && self.data.len() < most {
            let room = match &mut self.room {
                Some(room) => {
                    if room.bytes() == self.data.len() && !room.grow() {
                        return false;
                    }
                    room.bytes()
                }
                None => {
                    self.room = budget.first_step().await;
                    // Of the whole chunk, though only what is filled takes memory:
                    // growing step by step would copy the bytes again and again.
                    self.data.reserve_exact(most);
                    continue;
                }
            };
            let fits = from.len().min(most.min(room) - self.data.len());
            self.data.extend_from_slice(&from.split_to(fits));
        }
        true
    }

    /// The bytes, with their room.
    pub(super) fn freeze(self) -> Bytes {
        if self.data.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(Frozen {
            data: self.data,
            _room: self.room,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::budget::STEP_BYTES;

    #[tokio::test]
    async fn a_chunk_ends_where_the_room_ends_and_gives_it_back_with_its_last_copy() {
        let budget = Budget::new(2 * STEP_BYTES as u64);
        let mut from = Bytes::from(vec![7; 3 * STEP_BYTES]);
        let mut hold = Hold::default();

        assert!(!hold.fill(&mut from, 8 * STEP_BYTES, &budget).await);
        assert_eq!((hold.len(), from.len()), (2 * STEP_BYTES, STEP_BYTES));

        let chunk = hold.freeze();
        let copy = chunk.slice(1..2);
        drop(chunk);
        let mut next = Hold::default();
        let mut waiting = Box::pin(next.fill(&mut from, 8 * STEP_BYTES, &budget));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(copy);
        assert!(waiting.await);
        assert!(from.is_empty());
    }
}
