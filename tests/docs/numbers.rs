//! Compares the output that a page shows with the output of the command: the words must be equal, the numbers close.
//!
//! A page shows a part of the output: each line of it must be found in the real one, in order; a line that ends with `…` must be the
//! beginning of one. Numbers are compared by their unit:
//! shares (`31%`) within [`POINTS`] percentage points, counts, rates and factors (`40`, `4.0rps`) within [`SHARE`] of the page's
//! number or 3, whichever is larger; times (`2ms`, `10.0 s`), dates and ids of runs must only be of the same kind.

/// How far a share may be from the page's, in percentage points. The pages' faults have a seed, so that an embedded cluster repeats
/// them; what differs is the order of requests that are open at the same time.
const POINTS: f64 = 12.0;

/// How far a count or a rate may be from the page's, as a share of it.
const SHARE: f64 = 0.35;

/// Compares; returns what differs.
pub(crate) fn compare(page: &[String], real: &str) -> Result<(), String> {
    let mut rest = real.lines();
    for line in page.iter().filter(|line| !line.trim().is_empty() && line.trim() != "…") {
        let (line, is_whole) = line.strip_suffix('…').map_or((line.as_str(), true), |begin| (begin, false));
        let shape = shape(line);
        let fits = |candidate: &&str| {
            let real = self::shape(candidate);
            if is_whole { real == shape } else { real.starts_with(&shape) }
        };
        let Some(found) = rest.find(fits) else {
            return Err(format!("the page's line\n    {line}\nis not in the rest of the output:\n{real}"));
        };
        for (shown, seen) in numbers(line).into_iter().zip(numbers(found)) {
            if !close(&shown, &seen) {
                return Err(format!(
                    "{shown:?} on the page, {seen:?} now:\n    {line}\n    {found}\nin\n{real}"
                ));
            }
        }
    }
    Ok(())
}

/// A number with what follows it.
#[derive(Clone, Debug, PartialEq)]
struct Number {
    value: f64,
    unit: String,
}

/// A word of a line.
#[derive(Debug, PartialEq)]
enum Word {
    Text(String),
    /// A number of this unit; `-` is a number that is not known.
    Number(String),
    RunId,
}

/// Numbers of these units depend on the machine.
const OF_MACHINE: [&str; 4] = ["ms", "s", "min", "MiB"];

fn close(page: &Number, now: &Number) -> bool {
    let difference = (page.value - now.value).abs();
    match page.unit.as_str() {
        unit if OF_MACHINE.contains(&unit) => true,
        "%" => difference <= POINTS || difference <= SHARE * page.value,
        _ => difference <= (SHARE * page.value.abs()).max(3.0),
    }
}

fn words(line: &str) -> Vec<(Word, Option<Number>)> {
    let mut found: Vec<(Word, Option<Number>)> = Vec::new();
    let trimmed = |word: &str| word.trim_matches(['(', ')', ',', ':', ';', '.', '`']).to_owned();
    let texts: Vec<String> = line.split_whitespace().map(trimmed).filter(|word| !word.is_empty()).collect();
    for (at, text) in texts.iter().enumerate() {
        let is_unit = |text: &&String| *text == "%" || OF_MACHINE.contains(&text.as_str());
        // A separate unit belongs to the number before it.
        if is_unit(&text) && at > 0 && number(&texts[at - 1]).is_some() {
            continue;
        }
        match number(text) {
            Some(mut number) => {
                if let Some(unit) = texts.get(at + 1).filter(is_unit)
                    && number.unit.is_empty()
                {
                    number.unit.clone_from(unit);
                }
                found.push((Word::Number(number.unit.clone()), Some(number)));
            }
            None if is_run(text) => found.push((Word::RunId, None)),
            None => found.push((Word::Text(text.clone()), None)),
        }
    }
    found
}

fn shape(line: &str) -> Vec<Word> {
    words(line).into_iter().map(|(word, _)| word).collect()
}

fn numbers(line: &str) -> Vec<Number> {
    words(line).into_iter().filter_map(|(_, number)| number).collect()
}

/// `31%`, `4.0rps`, `1/1`, `+5`: a number and its unit.
fn number(text: &str) -> Option<Number> {
    let text = text.strip_prefix('±').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
    let value = text[..end].parse().ok()?;
    let unit = text[end..].to_owned();
    (!unit.contains('-') && !unit.contains("..")).then_some(Number { value, unit })
}

fn is_run(text: &str) -> bool {
    let mut parts = text.split('-').map(|part| (part.len(), part.bytes().all(|b| b.is_ascii_digit())));
    [parts.next(), parts.next(), parts.next(), parts.next()]
        == [Some((8, true)), Some((6, true)), Some((3, true)), None]
}

#[cfg(test)]
mod tests {
    use super::compare;

    fn page(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn equal_words_and_close_numbers_are_the_same_output() {
        let shown = page("NAME   SUCCESS   RPS\nweb    30.00%   4.0rps\n40 requests in 10.0 s, p50 2.0 ms");
        let real = "NAME   SUCCESS   RPS\nother   1.00%   4.0rps\nweb   35.00%   3.9rps\n41 requests in 10.4 s, p50 90.0 ms\n";
        assert_eq!(compare(&shown, real), Ok(()));
        let begin = page("40 requests, 137 attempts: 242 % added load, …");
        assert_eq!(compare(&begin, "40 requests, 130 attempts: 225 % added load, no added latency"), Ok(()));
        let run = page("run 20261129-150000-000 (`meshy traffic`, 10 s, ended 1 s ago)");
        assert_eq!(compare(&run, "run 20270101-080000-123 (`meshy traffic`, 12 s, ended 40 s ago)"), Ok(()));
    }

    #[test]
    fn a_page_with_zeros_fails_the_test() {
        for (shown, real) in [
            ("web   30.00%   4.0rps", "web        -        -"),
            ("web   30.00%   4.0rps", "web   90.00%   4.0rps"),
            ("succeeded after retries   24   60%", "succeeded after retries   0   0%"),
            ("40 requests", "4 requests"),
            ("one line", "another line"),
        ] {
            assert!(compare(&page(shown), real).is_err(), "{shown} is not {real}");
        }
    }
}
