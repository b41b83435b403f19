//! A choice by weight.

/// Things with weights; those of weight 0 are never chosen.
pub(super) struct Split<T> {
    parts: Vec<(u32, T)>,
    total: u64,
}

impl<T> Split<T> {
    pub(super) fn new(parts: impl IntoIterator<Item = (u32, T)>) -> Self {
        let parts: Vec<_> = parts.into_iter().filter(|(weight, _)| *weight > 0).collect();
        let total = parts.iter().map(|(weight, _)| u64::from(*weight)).sum();
        Self { parts, total }
    }

    /// One of the parts that `wanted` takes, by weight; of all when it takes none.
    pub(super) fn choose(&self, wanted: impl Fn(&T) -> bool) -> Option<&T> {
        match &self.parts[..] {
            [] => None,
            [(_, one)] => Some(one),
            parts => {
                let part = self.draw(self.total, |_| true)?;
                if wanted(part) {
                    return Some(part);
                }
                let total =
                    parts.iter().filter(|(_, part)| wanted(part)).map(|(weight, _)| u64::from(*weight)).sum();
                if total == 0 { Some(part) } else { self.draw(total, wanted) }
            }
        }
    }

    /// Whether any part that can be chosen is wanted.
    pub(super) fn any(&self, wanted: impl Fn(&T) -> bool) -> bool {
        self.parts.iter().any(|(_, part)| wanted(part))
    }

    fn draw(&self, total: u64, wanted: impl Fn(&T) -> bool) -> Option<&T> {
        let mut left = rand::random_range(0..total);
        self.parts.iter().filter(|(_, part)| wanted(part)).find_map(|(weight, part)| {
            let weight = u64::from(*weight);
            if left < weight {
                return Some(part);
            }
            left -= weight;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_weight_and_a_weight_of_nought_never() {
        let split = Split::new([(9_000, 'a'), (1_000, 'b'), (0, 'c')]);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[match split.choose(|_| true) {
                Some('a') => 0,
                Some('b') => 1,
                _ => 2,
            }] += 1;
        }
        // Ten standard deviations around 1,000 of 10,000.
        assert!((700..1_300).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_unless_nothing_is() {
        let split = Split::new([(1, 'a'), (1, 'b')]);
        assert!((0..100).all(|_| split.choose(|part| *part == 'b') == Some(&'b')));
        assert!(split.choose(|_| false).is_some());
        assert_eq!(Split::<char>::new([(0, 'a')]).choose(|_| true), None);
    }
}
