//! Several targets, each with its share of the requests.

use anyhow::ensure;

use super::target::Target;

/// The most targets of a load.
const MOST_TARGETS: usize = 64;

/// The largest sum of weights.
const MOST_WEIGHT: usize = 10_000;

/// The targets of a load. The target of a request follows from its number alone, so that the shares are exact and the same for
/// any number of senders.
#[derive(Clone, Debug)]
pub struct Targets {
    list: Vec<Target>,
    /// The target of each request; repeated.
    cycle: Vec<u8>,
}

impl Targets {
    /// Returns targets with their weights: of `a + b` requests in a row, `a` go to a target of weight `a`.
    ///
    /// # Errors
    /// Returns an error if there is no target, a weight is 0, or there are too many targets or too large weights.
    pub fn new(weighted: Vec<(Target, u32)>) -> anyhow::Result<Self> {
        ensure!(!weighted.is_empty(), "there is no target");
        ensure!(weighted.len() <= MOST_TARGETS, "{} targets, the most is {MOST_TARGETS}", weighted.len());
        ensure!(weighted.iter().all(|(_, weight)| *weight > 0), "a target has weight 0");
        let sum: usize = weighted.iter().map(|(_, weight)| *weight as usize).sum();
        ensure!(sum <= MOST_WEIGHT, "the weights of the targets add up to {sum}, the most is {MOST_WEIGHT}");
        let (list, weights): (Vec<_>, Vec<_>) = weighted.into_iter().unzip();
        Ok(Self { list, cycle: cycle(&weights) })
    }

    /// Returns the target of a request, and its index.
    pub(crate) fn of(&self, number: u64) -> (usize, &Target) {
        let place = (number % self.cycle.len() as u64) as usize;
        let index = usize::from(self.cycle[place]);
        (index, &self.list[index])
    }

    /// Returns the targets.
    pub fn list(&self) -> &[Target] {
        &self.list
    }
}

impl From<Target> for Targets {
    fn from(target: Target) -> Self {
        Self { list: vec![target], cycle: vec![0] }
    }
}

/// Spreads the targets evenly: in each step every target gains its weight, and the one with the most is taken and pays the sum.
fn cycle(weights: &[u32]) -> Vec<u8> {
    let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
    let mut credit = vec![0i64; weights.len()];
    let pick = |_| {
        credit.iter_mut().zip(weights).for_each(|(credit, weight)| *credit += i64::from(*weight));
        let most = (0..credit.len()).max_by_key(|index| (credit[*index], std::cmp::Reverse(*index)));
        let most = most.unwrap_or(0);
        credit[most] -= sum;
        u8::try_from(most).unwrap_or(u8::MAX)
    };
    (0..sum).map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_gets_its_share_evenly_spread() {
        assert_eq!(cycle(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(cycle(&[1, 1, 1]), [0, 1, 2]);
        for weights in [&[1][..], &[90, 10], &[7, 2, 5]] {
            let cycle = cycle(weights);
            for (index, weight) in weights.iter().enumerate() {
                let count = cycle.iter().filter(|picked| usize::from(**picked) == index).count();
                assert_eq!(count, *weight as usize, "{weights:?}");
            }
        }
    }

    #[test]
    fn targets_that_cannot_be_weighted_are_errors() {
        let target = || Target::new(std::net::SocketAddr::from(([127, 0, 0, 1], 1)), "x", "/").unwrap();
        assert!(Targets::new(Vec::new()).is_err());
        assert!(Targets::new(vec![(target(), 0)]).is_err());
        assert!(Targets::new(vec![(target(), 10_001)]).is_err());
        assert!(Targets::new((0..65).map(|_| (target(), 1)).collect()).is_err());
    }
}
