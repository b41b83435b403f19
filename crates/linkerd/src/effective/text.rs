//! The text of `policy show`: at most 25 lines.

use std::fmt;

use super::{Effective, Requests, Setting};

/// The most groups of requests and the most settings without effect that are shown; each is followed by the number of the
/// others. With a title, four lines per group and two shared settings this is 25 lines.
const MOST_GROUPS: usize = 3;
const MOST_IGNORED: usize = 6;

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "policy of {}", self.service)?;
        // The last group has the requests of no route; it is always shown.
        let (last, routes) = self.requests.split_last().map_or((None, &[][..]), |(l, r)| (Some(l), r));
        let shown = routes.len().min(MOST_GROUPS - 1);
        routes[..shown].iter().try_for_each(|requests| group(f, requests))?;
        if routes.len() > shown {
            writeln!(f, "and {} more routes", routes.len() - shown)?;
        }
        last.map_or(Ok(()), |requests| group(f, requests))?;
        self.shared.iter().try_for_each(|setting| row(f, setting, ""))?;
        if self.ignored.is_empty() {
            return Ok(());
        }
        writeln!(f, "without effect")?;
        for ignored in self.ignored.iter().take(MOST_IGNORED) {
            writeln!(f, "  {}: {} ({})", ignored.object, ignored.setting, ignored.why)?;
        }
        if self.ignored.len() > MOST_IGNORED {
            writeln!(f, "  and {} more", self.ignored.len() - MOST_IGNORED)?;
        }
        Ok(())
    }
}

fn group(f: &mut fmt::Formatter<'_>, requests: &Requests) -> fmt::Result {
    writeln!(f, "{}", requests.which)?;
    requests.settings.iter().try_for_each(|setting| row(f, setting, "  "))
}

fn row(f: &mut fmt::Formatter<'_>, setting: &Setting, indent: &str) -> fmt::Result {
    let width = 17 - indent.len();
    let Setting { field, value, source, why } = setting;
    writeln!(f, "{indent}{field:<width$}{value}  [{source}: {why}]")
}
