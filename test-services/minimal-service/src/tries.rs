//! How often each request came.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Ids kept at least: at 500 requests a second, the last minute. Twice as many are kept at most, in about 2 MiB.
const KEPT: usize = 32_768;

/// Longer ids are not counted: none of ours is (32 hexadecimal digits), nor is a UUID.
const LONGEST_ID: usize = 128;

/// Tries per request id. Memory is bounded by forgetting whole generations: when the young one is full it becomes the
/// old one, and the old one goes; an id that comes again is young again.
///
/// Only a 64-bit hash of each id is kept: with 65,536 ids a collision's chance is one in ten thousand million.
#[derive(Debug)]
pub(crate) struct Tries {
    hasher: RandomState,
    kept: usize,
    young: HashMap<u64, u32>,
    old: HashMap<u64, u32>,
    forgotten: u64,
}

impl Default for Tries {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Tries {
    fn keeping(kept: usize) -> Self {
        Self { hasher: RandomState::new(), kept, young: HashMap::new(), old: HashMap::new(), forgotten: 0 }
    }

    /// Counts a try and gives its number, from 1; nothing for an id that is empty or too long.
    pub(crate) fn count(&mut self, id: &[u8]) -> Option<u32> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return None;
        }
        let key = self.hasher.hash_one(id);
        if let Some(tries) = self.young.get_mut(&key) {
            *tries = tries.saturating_add(1);
            return Some(*tries);
        }
        if self.young.len() == self.kept {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        let tries = self.old.remove(&key).unwrap_or(0).saturating_add(1);
        self.young.insert(key, tries);
        Some(tries)
    }

    /// The tries counted for an id: 0 for one never seen or forgotten.
    pub(crate) fn of(&self, id: &[u8]) -> u32 {
        let key = self.hasher.hash_one(id);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied().unwrap_or(0)
    }

    /// Ids kept now.
    pub(crate) fn ids(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Ids that were dropped to bound memory.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_per_id() {
        let mut tries = Tries::default();
        assert_eq!([tries.count(b"a"), tries.count(b"b"), tries.count(b"a")], [Some(1), Some(1), Some(2)]);
        assert_eq!([tries.of(b"a"), tries.of(b"b"), tries.of(b"c")], [2, 1, 0]);
    }

    #[test]
    fn old_ids_go_and_those_still_coming_stay() {
        let mut tries = Tries::keeping(10);
        for round in 0..100u32 {
            assert_eq!(tries.count(b"again and again"), Some(round + 1));
            tries.count(&round.to_le_bytes());
            assert!(tries.ids() <= 20);
        }
        assert_eq!(tries.of(&0u32.to_le_bytes()), 0);
        assert_eq!(tries.of(&99u32.to_le_bytes()), 1);
        assert_eq!(tries.ids() as u64 + tries.forgotten(), 101);
    }

    #[test]
    fn an_absurd_id_is_not_counted() {
        let mut tries = Tries::default();
        assert_eq!([tries.count(b""), tries.count(&[b'x'; 129])], [None, None]);
        assert_eq!(tries.ids(), 0);
    }
}
