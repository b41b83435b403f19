//! Random numbers whose sequence depends on a random seed only, on every platform and in every version.
//!
//! xoshiro256++ by Blackman and Vigna, its state filled by splitmix64 from a random seed and a stream number. The generators
//! of the `rand` crate that are fast are allowed to change between versions, and then a recorded prediction would too.

/// A random number generator.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// Returns the generator of one stream of a seed; streams are independent of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mix = seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        Self { state: std::array::from_fn(|_| splitmix(&mut mix)) }
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Returns a number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns `true` with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.unit() < probability)
    }

    /// Returns a number from 0 to below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // The bias of this multiplication is below `end` in 2^64.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Returns an exponentially distributed number with the given mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_algorithm() {
        // The published test vector: state 1, 2, 3, 4.
        let mut random = Random { state: [1, 2, 3, 4] };
        let values: Vec<u64> = (0..4).map(|_| random.next()).collect();
        assert_eq!(values, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
        let mut mix = 1_234_567;
        assert_eq!(splitmix(&mut mix), 6_457_827_717_110_365_317);
    }

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let first = |seed, stream| Random::new(seed, stream).next();
        assert_eq!(first(1, 1), first(1, 1));
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
    }

    #[test]
    fn means_are_as_asked() {
        let mut random = Random::new(7, 0);
        let n = 100_000;
        let mean = |sum: f64| sum / f64::from(n);
        assert!((mean((0..n).map(|_| random.exponential(3.0)).sum()) - 3.0).abs() < 0.05);
        assert!((mean((0..n).map(|_| random.below(10) as f64).sum()) - 4.5).abs() < 0.05);
        assert!((mean((0..n).map(|_| f64::from(u8::from(random.chance(0.7)))).sum()) - 0.7).abs() < 0.01);
    }
}
