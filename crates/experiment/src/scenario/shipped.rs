//! The scenarios that ship with the program.

use std::path::Path;

use include_dir::{Dir, DirEntry, include_dir};

use super::{Scenario, Settings};
use crate::error::{Invalid, Problem, instead_of};

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../scenarios");

/// A scenario that ships with the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// The name on the command line: `storm`, `lesson/timeouts`.
    pub name: String,
    /// The path below `scenarios/`.
    pub path: &'static str,
    /// The text of the file.
    pub text: &'static str,
}

impl Shipped {
    /// Reads the scenario.
    ///
    /// # Errors
    /// As [`Scenario::parse`]; without settings there are none.
    pub fn parse(&self, settings: &Settings) -> Result<Scenario, Invalid> {
        Scenario::parse(&format!("scenarios/{}", self.path), self.text, settings)
    }
}

/// Returns the shipped scenarios: those at the top first, then the lessons, each by name.
pub fn shipped() -> Vec<Shipped> {
    let lessons = SCENARIOS.get_dir("lessons").into_iter().flat_map(Dir::entries);
    SCENARIOS.entries().iter().chain(lessons).filter_map(entry).collect()
}

fn entry(entry: &'static DirEntry<'static>) -> Option<Shipped> {
    let file = entry.as_file()?;
    let path = file.path().to_str()?;
    let name = path.strip_suffix(".yaml")?;
    let name = match name.strip_prefix("lessons/") {
        Some(lesson) => format!("lesson/{lesson}"),
        None => name.to_owned(),
    };
    Some(Shipped { name, path, text: file.contents_utf8()? })
}

/// Returns the shipped scenario of that name; the name of a lesson needs no `lesson/`.
///
/// # Errors
/// There is none; the hint has the nearest name.
pub fn find(name: &str) -> Result<Shipped, Problem> {
    let all = shipped();
    let named = |wanted: &str| all.iter().find(|shipped| shipped.name == wanted).cloned();
    named(name).or_else(|| named(&format!("lesson/{name}"))).ok_or_else(|| Problem {
        file: name.to_owned(),
        text: "there is no shipped scenario of that name".to_owned(),
        hint: instead_of(name, all.iter().map(|shipped| shipped.name.as_str())),
        ..Problem::default()
    })
}

/// Returns the text of a file below `scenarios/`.
pub(super) fn file(path: &Path) -> Option<&'static str> {
    SCENARIOS.get_file(path)?.contents_utf8()
}
