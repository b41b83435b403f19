//! What an area has tried.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The random inputs of an area: the same for the same seed.
pub(crate) fn random(area: &str) -> StdRng {
    let seed: u64 = std::env::var("MESHY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed);
    let area = area.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(area))
}

/// The inputs of one area and what was wrong with them.
pub(crate) struct Tally {
    area: &'static str,
    least: usize,
    tried: Mutex<Vec<Input>>,
}

struct Input {
    finding: &'static str,
    name: String,
    faults: Vec<String>,
}

impl Tally {
    /// An area that has to try so many inputs.
    pub(crate) fn new(area: &'static str, least: usize) -> Self {
        Self { area, least, tried: Mutex::default() }
    }

    /// Counts an input that is meant to find this finding again.
    pub(crate) fn add(&self, finding: &'static str, name: impl Into<String>, faults: Vec<String>) {
        let input = Input { finding, name: name.into(), faults };
        self.tried.lock().expect("no panic while held").push(input);
    }

    /// Prints the numbers and fails if an input was bad.
    pub(crate) fn end(self) {
        let inputs = self.tried.into_inner().expect("no panic while held");
        let mut of: BTreeMap<&str, (usize, Vec<&Input>)> = BTreeMap::new();
        for input in &inputs {
            let (tried, bad) = of.entry(input.finding).or_default();
            *tried += 1;
            if !input.faults.is_empty() {
                bad.push(input);
            }
        }
        let bad: usize = of.values().map(|(_, bad)| bad.len()).sum();
        let mut text = format!("{}: tried {}, bad {bad}\n", self.area, inputs.len());
        for (finding, (tried, bad)) in of {
            text += &format!("  {finding}: tried {tried}, bad {}\n", bad.len());
            for input in bad.iter().take(SHOWN) {
                let faults = input.faults.join("; ");
                text +=
                    &format!("    {}: {}\n", input.name, faults.chars().take(LONGEST).collect::<String>());
            }
        }
        // Past the capture of the test's output: the numbers are the result.
        let _ = std::io::stderr().write_all(text.as_bytes());
        assert!(inputs.len() >= self.least, "{} inputs, at least {} are needed", inputs.len(), self.least);
        assert_eq!(bad, 0, "{text}");
    }
}

/// How many bad inputs of a finding are printed.
const SHOWN: usize = 12;

/// How many characters of a bad input are printed.
const LONGEST: usize = 300;
