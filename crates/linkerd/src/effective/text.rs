//! The text of `policy show`: at most 25 lines.

use std::fmt::{self, Write as _};

use super::{Effective, Field, Requests, Setting, endpoints};

/// The most lines, the most groups of requests and the most ports with different callers; each list is followed by the number
/// of its others. What remains of the lines is for settings without effect.
const MOST_LINES: usize = 25;
const MOST_GROUPS: usize = 3;
const MOST_PORTS: usize = 2;

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.in_effect(&mut text)?;
        if !self.ignored.is_empty() {
            text.push_str("without effect\n");
            let room = MOST_LINES.saturating_sub(text.lines().count());
            let shown = if self.ignored.len() <= room { room } else { room.saturating_sub(1) };
            for ignored in self.ignored.iter().take(shown) {
                writeln!(text, "  {}: {} ({})", ignored.object, ignored.setting, ignored.why)?;
            }
            if self.ignored.len() > shown {
                writeln!(text, "  and {} more", self.ignored.len() - shown)?;
            }
        }
        f.write_str(&text)
    }
}

impl Effective {
    fn in_effect(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "policy of {}", self.service)?;
        // The last group has the requests of no route; it is always shown.
        let (last, routes) = self.requests.split_last().map_or((None, &[][..]), |(l, r)| (Some(l), r));
        let shown = routes.len().min(MOST_GROUPS - 1);
        routes[..shown].iter().try_for_each(|requests| group(text, requests))?;
        if routes.len() > shown {
            writeln!(text, "and {} more routes", routes.len() - shown)?;
        }
        last.map_or(Ok(()), |requests| group(text, requests))?;
        let (callers, shared): (Vec<_>, Vec<_>) =
            self.shared.iter().partition(|setting| setting.field == Field::Callers);
        for setting in shared {
            row(text, setting, "")?;
            if let Some(endpoints) = self.endpoints.as_ref().filter(|_| setting.field == Field::Breaker) {
                writeln!(text, "  endpoints      {}", endpoints::in_words(endpoints))?;
            }
        }
        callers.iter().take(MOST_PORTS).try_for_each(|setting| row(text, setting, ""))?;
        if callers.len() > MOST_PORTS {
            writeln!(text, "and {} more ports", callers.len() - MOST_PORTS)?;
        }
        Ok(())
    }
}

fn group(text: &mut String, requests: &Requests) -> fmt::Result {
    writeln!(text, "{}", requests.which)?;
    requests.settings.iter().try_for_each(|setting| row(text, setting, "  "))
}

fn row(text: &mut String, setting: &Setting, indent: &str) -> fmt::Result {
    let width = 17 - indent.len();
    let Setting { field, value, source, why } = setting;
    writeln!(text, "{indent}{field:<width$}{value}  [{source}: {why}]")
}
