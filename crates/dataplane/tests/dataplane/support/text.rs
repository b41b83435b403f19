//! Reading metrics text.

use std::collections::BTreeSet;

/// The sum of a metric's series that have all these labels.
pub(crate) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let wanted: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let value = |line: &str| {
        let (series, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        let has = |label: &String| format!(",{series},").contains(&format!(",{label},"));
        wanted.iter().all(has).then(|| value.parse::<f64>().expect("a number") as u64)
    };
    text.lines().filter_map(value).sum()
}

/// The label names of a metric's series, in order, each combination once.
pub(crate) fn labels_of(text: &str, name: &str) -> BTreeSet<Vec<String>> {
    let names = |line: &str| {
        let (series, _) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some(series.split("\",").map(|label| label.split('=').next().unwrap().to_owned()).collect())
    };
    text.lines().filter_map(names).collect()
}
