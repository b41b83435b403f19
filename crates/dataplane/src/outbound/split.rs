//! A random choice by weight.

/// Items with weights; those with weight 0 are never chosen.
pub(super) struct Split<T> {
    items: Vec<(u32, T)>,
    total: u64,
}

impl<T> Split<T> {
    pub(super) fn new(items: impl IntoIterator<Item = (u32, T)>) -> Self {
        let items: Vec<_> = items.into_iter().filter(|(weight, _)| *weight > 0).collect();
        let total = items.iter().map(|(weight, _)| u64::from(*weight)).sum();
        Self { items, total }
    }

    /// Chooses among the eligible items, or among all if none is eligible.
    pub(super) fn choose(&self, is_eligible: impl Fn(&T) -> bool) -> Option<&T> {
        match &self.items[..] {
            [] => None,
            [(_, only)] => Some(only),
            items => {
                let item = self.draw(self.total, |_| true)?;
                if is_eligible(item) {
                    return Some(item);
                }
                let eligible = items.iter().filter(|(_, item)| is_eligible(item));
                let total = eligible.map(|(weight, _)| u64::from(*weight)).sum();
                if total == 0 { Some(item) } else { self.draw(total, is_eligible) }
            }
        }
    }

    fn draw(&self, total: u64, is_eligible: impl Fn(&T) -> bool) -> Option<&T> {
        let mut left = rand::random_range(0..total);
        self.items.iter().filter(|(_, item)| is_eligible(item)).find_map(|(weight, item)| {
            let weight = u64::from(*weight);
            if left < weight {
                return Some(item);
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
    fn items_are_chosen_by_weight_and_a_weight_of_zero_never() {
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
    fn ineligible_items_are_skipped_unless_all_are() {
        let split = Split::new([(1, 'a'), (1, 'b')]);
        assert!((0..100).all(|_| split.choose(|item| *item == 'b') == Some(&'b')));
        assert!(split.choose(|_| false).is_some());
        assert_eq!(Split::<char>::new([(0, 'a')]).choose(|_| true), None);
    }
}
