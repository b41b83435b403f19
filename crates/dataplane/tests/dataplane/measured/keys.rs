//! The label keys of a row: those of each counter that moved, on each side, compared with this proxy's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use meshy_dataplane::Proxy;

use crate::support::{Client, scrape};

/// SIDE FAMILY KEYS: ROWS.
static MEASURED: LazyLock<String> = LazyLock::new(|| table("linkerd-row-keys.txt"));
/// What differs, with its reason: ROWS (or `*`) SIDE FAMILY `+KEYS` or `-KEYS`: the reason.
static DIFFERENT: LazyLock<String> = LazyLock::new(|| table("linkerd-row-keys-different.txt"));

fn table(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataplane");
    fs::read_to_string(folder.join(name)).expect("a table")
}

/// A family and its label keys, in order.
type Keys = BTreeSet<(String, String)>;

impl Client {
    /// Asserts that the client's proxy and those of the pods count with the label keys of these rows, which the test replayed.
    #[track_caller]
    pub(crate) fn has_the_keys_of(&self, rows: &[&str]) {
        let pods = self.pods.lock().unwrap();
        let pods: Vec<_> = pods.iter().collect();
        has_the_keys_of(rows, &[("client", &[&self.proxy]), ("server", &pods)]);
    }
}

/// Asserts that the proxies of each side count with the label keys of these rows, together.
#[track_caller]
pub(crate) fn has_the_keys_of(rows: &[&str], sides: &[(&str, &[&Proxy])]) {
    let mut wrong = Vec::new();
    for (side, proxies) in sides {
        let measured = measured(rows, side);
        let mut ours = Keys::new();
        for proxy in *proxies {
            ours.append(&mut moved(&scrape(proxy)));
        }
        for (family, keys) in measured.difference(&ours) {
            if !is_different(rows, side, family, &format!("-{keys}")) {
                wrong.push(format!("{side} has not {family} {keys}"));
            }
        }
        for (family, keys) in ours.difference(&measured) {
            if !is_different(rows, side, family, &format!("+{keys}")) {
                wrong.push(format!("{side} also has {family} {keys}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{rows:?}:\n{}", wrong.join("\n"));
}

fn lines(table: &'static str) -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once(": ").expect("a colon"))
        .map(|(head, tail)| (head.split(' ').collect(), tail))
}

/// Returns the families and keys that moved on a side in any of the rows.
fn measured(rows: &[&str], side: &str) -> Keys {
    for row in rows {
        let known = lines(&MEASURED).any(|(_, of)| of.split(' ').any(|one| one == *row));
        assert!(known, "no counter moved in {row}");
    }
    let of_rows =
        lines(&MEASURED).filter(|(head, of)| head[0] == side && of.split(' ').any(|one| rows.contains(&one)));
    of_rows.map(|(head, _)| (head[1].to_owned(), head[2].to_owned())).collect()
}

/// Returns the families and keys of series that are not 0, of the families that rows have.
fn moved(text: &str) -> Keys {
    let families: BTreeSet<_> = lines(&MEASURED).map(|(head, _)| head[1]).collect();
    let series = |line: &str| {
        let (series, value) = line.rsplit_once("} ")?;
        let (family, labels) = series.split_once('{')?;
        let probe = labels.contains("route_name=\"probe\"");
        (families.contains(family) && value != "0" && !probe).then(|| {
            let keys: Vec<_> = labels.split("\",").filter_map(|label| label.split('=').next()).collect();
            (family.to_owned(), keys.join(","))
        })
    };
    text.lines().filter_map(series).collect()
}

fn is_different(rows: &[&str], side: &str, family: &str, keys: &str) -> bool {
    lines(&DIFFERENT).any(|(head, _)| {
        let of_rows = head[0] == "*" || head[0].split(',').any(|row| rows.contains(&row));
        of_rows && head[1] == side && head[2] == family && head[3] == keys
    })
}

#[test]
fn each_difference_of_label_keys_has_a_reason_and_is_of_a_row() {
    for (head, reason) in lines(&DIFFERENT) {
        let [rows, side, family, keys] = head[..] else { panic!("invalid line {head:?}") };
        assert!(["client", "relay", "server"].contains(&side) && reason.len() > 20, "{rows} {side} {family}");
        assert!(keys.starts_with(['+', '-']), "{keys}");
        let known = |row| lines(&MEASURED).any(|(_, of)| of.split(' ').any(|one| one == row));
        assert!(rows == "*" || rows.split(',').all(known), "{rows}");
    }
}
