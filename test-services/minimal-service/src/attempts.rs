//! Counts the attempts of each request id and caller.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ids in one generation, so the number of ids that are kept at least: the last 57 s at 500 requests per second. At most
/// twice as many are kept. It is the capacity (seven eighths) of a hash table with 32,768 slots of 17 bytes: two
/// generations take 1,088 KiB and never more. A service with few ids takes little: 200 pods are 200 of these tables.
const GENERATION: usize = 28_672;

/// The longest id that is counted, in bytes. Ids of meshy have 32 hexadecimal digits, a UUID has 36 characters.
const MAX_ID: usize = 128;

/// Attempts per request id and caller, in two generations that bound the memory. When the young generation is full, it becomes the
/// old one and the previous old one is dropped; an id that arrives again moves to the young generation. Both tables grow to
/// their full size once and keep it: tables that grow with each generation would allocate and free megabytes again and again,
/// which looks like a leak and fragments the heap.
///
/// Only a 64-bit hash of each id is kept: with 57,344 ids the probability of a collision is one in ten thousand million.
/// All replicas use the same hash, so the attempts of an id can be summed over them.
#[derive(Debug)]
pub(crate) struct Attempts {
    generation: usize,
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
    forgotten: u64,
}

/// What is kept for an id.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    attempts: u32,
    succeeded: bool,
}

/// One attempt of a request with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    key: u64,
    /// Counted from 1.
    pub(crate) number: u32,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::with_generation(GENERATION)
    }
}

impl Attempts {
    fn with_generation(generation: usize) -> Self {
        Self { generation, young: HashMap::new(), old: HashMap::new(), forgotten: 0 }
    }

    /// Counts an attempt; returns `None` for an id that is empty or longer than [`MAX_ID`].
    pub(crate) fn count(&mut self, id: &[u8], caller: Option<&str>) -> Option<Attempt> {
        if id.is_empty() || id.len() > MAX_ID {
            return None;
        }
        let key = key(id, caller);
        if let Some(entry) = self.young.get_mut(&key) {
            entry.attempts = entry.attempts.saturating_add(1);
            return Some(Attempt { key, number: entry.attempts });
        }
        if self.young.len() == self.generation {
            self.forgotten += self.old.len() as u64;
            // The table keeps its size.
            self.old.clear();
            std::mem::swap(&mut self.old, &mut self.young);
        }
        let mut entry = self.old.remove(&key).unwrap_or_default();
        entry.attempts = entry.attempts.saturating_add(1);
        self.young.insert(key, entry);
        Some(Attempt { key, number: entry.attempts })
    }

    /// Records that an attempt succeeded.
    pub(crate) fn succeeded(&mut self, attempt: Attempt) {
        let entry = self.young.get_mut(&attempt.key).or_else(|| self.old.get_mut(&attempt.key));
        // The id may have been dropped since; `forgotten` then reports that counts are incomplete.
        if let Some(entry) = entry {
            entry.succeeded = true;
        }
    }

    /// Returns the number of attempts of an id from a caller: 0 for an id that is unknown or was dropped.
    pub(crate) fn of(&self, id: &[u8], caller: Option<&str>) -> u32 {
        let key = key(id, caller);
        self.young.get(&key).or_else(|| self.old.get(&key)).map_or(0, |entry| entry.attempts)
    }

    /// Returns for each id in memory, by its hash: the number of attempts, and whether one of them succeeded.
    pub(crate) fn all(&self) -> BTreeMap<String, (u32, bool)> {
        let both = self.old.iter().chain(&self.young);
        both.map(|(key, entry)| (format!("{key:016x}"), (entry.attempts, entry.succeeded))).collect()
    }

    /// Returns the number of ids in memory.
    pub(crate) fn ids(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Returns the number of ids that were dropped to bound memory.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

fn key(id: &[u8], caller: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    if let Some(caller) = caller {
        caller.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_per_id() {
        let mut attempts = Attempts::default();
        let numbers = [b"a", b"b", b"a"].map(|id| attempts.count(id, None).unwrap().number);
        assert_eq!(numbers, [1, 1, 2]);
        assert_eq!([attempts.of(b"a", None), attempts.of(b"b", None), attempts.of(b"c", None)], [2, 1, 0]);
    }

    #[test]
    fn attempts_of_different_callers_are_counted_separately() {
        let mut attempts = Attempts::default();
        let callers = [Some("a"), Some("b"), None, Some("a")];
        let numbers = callers.map(|caller| attempts.count(b"id", caller).unwrap().number);
        assert_eq!(numbers, [1, 1, 1, 2]);
        assert_eq!(
            [Some("a"), Some("b"), None, Some("c")].map(|caller| attempts.of(b"id", caller)),
            [2, 1, 1, 0]
        );
    }

    #[test]
    fn two_replicas_use_the_same_key_for_an_id_and_report_which_one_succeeded() {
        let (mut first, mut second) = (Attempts::default(), Attempts::default());
        first.count(b"a", None);
        let attempt = second.count(b"a", None).unwrap();
        second.succeeded(attempt);
        let (first, second) = (first.all(), second.all());
        assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
        assert_eq!(first.values().chain(second.values()).collect::<Vec<_>>(), [&(1, false), &(1, true)]);
    }

    #[test]
    fn old_ids_are_dropped_and_ids_that_arrive_again_are_kept() {
        let mut attempts = Attempts::with_generation(10);
        for round in 0..100u32 {
            assert_eq!(attempts.count(b"in every round", None).unwrap().number, round + 1);
            attempts.count(&round.to_le_bytes(), None);
            assert!(attempts.ids() <= 20);
        }
        assert_eq!(attempts.of(&0u32.to_le_bytes(), None), 0);
        assert_eq!(attempts.of(&99u32.to_le_bytes(), None), 1);
        assert_eq!(attempts.ids() as u64 + attempts.forgotten(), 101);
    }

    #[test]
    fn the_tables_grow_once_with_the_ids_and_never_above_a_generation() {
        let mut attempts = Attempts::default();
        let sizes = |attempts: &Attempts| [attempts.young.capacity(), attempts.old.capacity()];
        assert_eq!(sizes(&attempts), [0, 0], "no request yet");
        for id in 0..150u64 {
            attempts.count(&id.to_le_bytes(), None);
        }
        assert!(sizes(&attempts)[0] < 300 && sizes(&attempts)[1] == 0, "{:?}", sizes(&attempts));
        for id in 0..2 * GENERATION as u64 {
            attempts.count(&id.to_le_bytes(), None);
        }
        assert_eq!(sizes(&attempts), [GENERATION, GENERATION], "a generation uses every slot of its table");
        for id in 0..3 * GENERATION as u64 {
            // Every fifth id arrives again much later, which moves it from one table to the other.
            attempts.count(&id.to_le_bytes(), None);
            attempts.count(&(id / 5 * 4).to_le_bytes(), None);
        }
        assert!(attempts.forgotten() > 0);
        // The capacity is lower where an id was removed and left a slot that only the next `clear` frees.
        assert!(sizes(&attempts).iter().all(|size| *size <= GENERATION), "{:?}", sizes(&attempts));
    }

    #[test]
    fn an_empty_or_too_long_id_is_not_counted() {
        let mut attempts = Attempts::default();
        assert_eq!([attempts.count(b"", None), attempts.count(&[b'x'; 129], None)], [None, None]);
        assert_eq!(attempts.ids(), 0);
    }
}
