//! Errors in what a user wrote: found before any side effect, with file, line and the nearest valid name.

use std::fmt;

/// One problem in a scenario file, a condition or a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the flag that contains the text.
    pub file: String,
    /// Line, from 1; `None` where it is not known.
    pub line: Option<u64>,
    /// Column, from 1.
    pub column: Option<u64>,
    /// What is wrong, as a lower-case fragment.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with an input. The binary prints it and exits with status 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// At least one problem, in the order of the file.
    pub problems: Vec<Problem>,
}

impl From<Problem> for Invalid {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Returns a hint for an unknown name: the nearest valid one, else all of them.
pub(crate) fn instead_of<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let valid: Vec<&str> = valid.into_iter().collect();
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    // A third of the letters: more is another word, not a typing error.
    let nearest = valid.iter().copied().min_by_key(|other| distance(other));
    match nearest {
        None => None,
        Some(nearest) if distance(&nearest) <= (name.chars().count() / 3).max(1) => {
            Some(format!("did you mean `{nearest}`?"))
        }
        Some(_) => Some(format!("expected one of: {}", valid.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_gets_the_nearest_valid_one_or_all() {
        assert_eq!(instead_of("retires", ["retries", "none"]).as_deref(), Some("did you mean `retries`?"));
        assert_eq!(instead_of("xyz", ["retries", "none"]).as_deref(), Some("expected one of: retries, none"));
        assert_eq!(instead_of("xyz", []), None);
    }

    #[test]
    fn a_problem_is_printed_with_file_line_and_hint() {
        let problem = Problem {
            file: "storm.yaml".to_owned(),
            line: Some(3),
            column: Some(7),
            text: "unknown step `x`".to_owned(),
            hint: Some("did you mean `y`?".to_owned()),
        };
        let two = Invalid { problems: vec![problem, Problem { text: "b".to_owned(), ..Problem::default() }] };
        assert_eq!(two.to_string(), "storm.yaml:3:7: unknown step `x`; did you mean `y`?\n: b");
    }
}
