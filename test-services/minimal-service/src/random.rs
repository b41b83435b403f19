//! Random numbers that a seed makes reproducible.

use std::hash::{BuildHasher, RandomState};

/// The generator SplitMix64 (Steele, Lea, Flood 2014). It is implemented here because lessons print results of a seed, and
/// a library's generator may change with its version.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Returns the generator for a seed; without a seed, each call returns a different one.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(seed.unwrap_or_else(|| RandomState::new().hash_one(0u8)))
    }

    /// Returns 64 uniformly distributed bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a uniformly distributed number in 0..1 with 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_produces_the_published_numbers() {
        let mut random = Random::new(Some(1_234_567));
        assert_eq!(
            [random.bits(), random.bits(), random.bits()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn without_a_seed_generators_differ() {
        assert_ne!(Random::new(None).bits(), Random::new(None).bits());
    }
}
