//! How often each request came.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ids kept at least: at 500 requests a second, the last 57 s. Twice as many are kept at most. It is what a table of 32,768
/// places of 17 bytes takes, seven eighths of them: the two generations have 1,088 KiB and never more.
const KEPT: usize = 28_672;

/// Longer ids are not counted: none of ours is (32 hexadecimal digits), nor is a UUID.
const LONGEST_ID: usize = 128;

/// Tries per request id. Memory is bounded by forgetting whole generations: when the young one is full it becomes the
/// old one, and the old one goes; an id that comes again is young again. Both tables are made once, at their full size, with
/// the first id (a service that nobody asks has none): tables that grow with each generation come and go by the mebibyte,
/// which looks like a leak and leaves holes in the heap.
///
/// Only a 64-bit hash of each id is kept: with 57,344 ids a collision's chance is one in ten thousand million. The hash
/// is the same in each replica, so that the tries of one id can be summed over them.
#[derive(Debug)]
pub(crate) struct Tries {
    kept: usize,
    young: HashMap<u64, Seen>,
    old: HashMap<u64, Seen>,
    forgotten: u64,
}

/// What is kept of an id.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    tries: u32,
    served: bool,
}

/// One try of a request that said its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    key: u64,
    /// From 1.
    pub(crate) number: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Tries {
    fn keeping(kept: usize) -> Self {
        Self { kept, young: HashMap::new(), old: HashMap::new(), forgotten: 0 }
    }

    /// Counts a try; nothing for an id that is empty or too long.
    pub(crate) fn count(&mut self, id: &[u8]) -> Option<Try> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return None;
        }
        let key = key(id);
        if let Some(seen) = self.young.get_mut(&key) {
            seen.tries = seen.tries.saturating_add(1);
            return Some(Try { key, number: seen.tries });
        }
        if self.young.capacity() == 0 {
            (self.young, self.old) = (HashMap::with_capacity(self.kept), HashMap::with_capacity(self.kept));
        }
        if self.young.len() == self.kept {
            self.forgotten += self.old.len() as u64;
            self.old.clear();
            std::mem::swap(&mut self.old, &mut self.young);
        }
        let mut seen = self.old.remove(&key).unwrap_or_default();
        seen.tries = seen.tries.saturating_add(1);
        self.young.insert(key, seen);
        Some(Try { key, number: seen.tries })
    }

    /// A try was answered well.
    pub(crate) fn served(&mut self, one: Try) {
        let seen = self.young.get_mut(&one.key).or_else(|| self.old.get_mut(&one.key));
        // Forgotten meanwhile: then the count of forgotten ids tells that something is missing.
        if let Some(seen) = seen {
            seen.served = true;
        }
    }

    /// The tries counted for an id: 0 for one never seen or forgotten.
    pub(crate) fn of(&self, id: &[u8]) -> u32 {
        let key = key(id);
        self.young.get(&key).or_else(|| self.old.get(&key)).map_or(0, |seen| seen.tries)
    }

    /// All that is remembered: the tries of each id, and whether one of them was answered well.
    pub(crate) fn all(&self) -> BTreeMap<String, (u32, bool)> {
        let both = self.old.iter().chain(&self.young);
        both.map(|(key, seen)| (format!("{key:016x}"), (seen.tries, seen.served))).collect()
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

fn key(id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_per_id() {
        let mut tries = Tries::default();
        let numbers = [b"a", b"b", b"a"].map(|id| tries.count(id).unwrap().number);
        assert_eq!(numbers, [1, 1, 2]);
        assert_eq!([tries.of(b"a"), tries.of(b"b"), tries.of(b"c")], [2, 1, 0]);
    }

    #[test]
    fn two_replicas_name_an_id_alike_and_tell_which_of_them_answered_well() {
        let (mut here, mut there) = (Tries::default(), Tries::default());
        here.count(b"a");
        let good = there.count(b"a").unwrap();
        there.served(good);
        let (here, there) = (here.all(), there.all());
        assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
        assert_eq!(here.values().chain(there.values()).collect::<Vec<_>>(), [&(1, false), &(1, true)]);
    }

    #[test]
    fn old_ids_go_and_those_still_coming_stay() {
        let mut tries = Tries::keeping(10);
        for round in 0..100u32 {
            assert_eq!(tries.count(b"again and again").unwrap().number, round + 1);
            tries.count(&round.to_le_bytes());
            assert!(tries.ids() <= 20);
        }
        assert_eq!(tries.of(&0u32.to_le_bytes()), 0);
        assert_eq!(tries.of(&99u32.to_le_bytes()), 1);
        assert_eq!(tries.ids() as u64 + tries.forgotten(), 101);
    }

    #[test]
    fn the_tables_are_never_larger_than_at_the_start() {
        let mut tries = Tries::default();
        let sizes = |tries: &Tries| [tries.young.capacity(), tries.old.capacity()];
        assert_eq!(sizes(&tries), [0, 0], "nobody asked yet");
        tries.count(b"first");
        assert_eq!(sizes(&tries), [KEPT, KEPT], "no place of a table is left unused");
        for id in 0..3 * KEPT as u64 {
            // Every fifth comes again much later, which moves it from one table to the other.
            tries.count(&id.to_le_bytes());
            tries.count(&(id / 5 * 4).to_le_bytes());
        }
        assert!(tries.forgotten() > 0);
        // Less than at the start where an id moved on and left a place that only the next emptying frees.
        assert!(sizes(&tries).iter().all(|size| *size <= KEPT), "{:?}", sizes(&tries));
    }

    #[test]
    fn an_absurd_id_is_not_counted() {
        let mut tries = Tries::default();
        assert_eq!([tries.count(b""), tries.count(&[b'x'; 129])], [None, None]);
        assert_eq!(tries.ids(), 0);
    }
}
