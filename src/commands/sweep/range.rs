//! The values of a sweep: `5,10,20`, `0..5`, `100ms,1s`.

use std::time::Duration;

use meshy_base::duration;

/// Each point costs a simulation of up to a second in a debug build.
const MOST_POINTS: usize = 200;

/// Values in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Range {
    /// Numbers without a unit.
    Numbers(Vec<f64>),
    /// Durations.
    Times(Vec<Duration>),
}

impl Range {
    /// Returns how many values there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Times(times) => times.len(),
        }
    }

    /// Returns the values; durations in seconds.
    pub(super) fn values(&self) -> Vec<f64> {
        match self {
            Self::Numbers(values) => values.clone(),
            Self::Times(times) => times.iter().map(Duration::as_secs_f64).collect(),
        }
    }
}

/// Reads numbers or durations with commas, or the two ends of a range of numbers.
///
/// # Errors
/// The text is something else, or has too many values.
pub(super) fn range(text: &str) -> Result<Range, String> {
    let wrong = || {
        format!("invalid values `{text}`, expected for example 5,10,20 or 0..5, or times such as 100ms,1s")
    };
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(wrong);
    let values: Vec<f64> = match text.split_once("..") {
        Some((from, to)) => {
            let (from, to) = (number(from)?, number(to)?);
            let steps = (to - from).floor();
            if steps < 0.0 {
                return Err(wrong());
            }
            if steps >= MOST_POINTS as f64 {
                return Err(too_many(text, steps + 1.0));
            }
            (0..=steps as usize).map(|step| from + step as f64).collect()
        }
        None => {
            let times: Result<Vec<Duration>, _> =
                text.split(',').map(|time| duration::more_than_zero(time.trim())).collect();
            if let Ok(times) = times {
                return if times.len() > MOST_POINTS {
                    Err(too_many(text, times.len() as f64))
                } else {
                    Ok(Range::Times(times))
                };
            }
            text.split(',').map(number).collect::<Result<_, _>>()?
        }
    };
    if values.len() > MOST_POINTS {
        return Err(too_many(text, values.len() as f64));
    }
    if values.is_empty() || values.iter().any(|value| *value < 0.0) {
        return Err(wrong());
    }
    Ok(Range::Numbers(values))
}

fn too_many(text: &str, points: f64) -> String {
    format!("`{text}` has {points:.0} points, expected at most {MOST_POINTS}, for example 5,10,20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_with_too_many_points_is_refused_as_that() {
        assert!(range("0..1000000").unwrap_err().contains("has 1000001 points, expected at most 200"));
        assert!(range("5..0").unwrap_err().contains("invalid values"));
        assert!(range(&["1s"; 201].join(",")).unwrap_err().contains("has 201 points"));
    }

    #[test]
    fn a_range_is_a_list_or_two_ends() {
        assert_eq!(range("5,10, 20"), Ok(Range::Numbers(vec![5.0, 10.0, 20.0])));
        assert_eq!(range("0..3"), Ok(Range::Numbers(vec![0.0, 1.0, 2.0, 3.0])));
        for wrong in ["", "a", "3..0", "0..1e9", "-1..2", "1,,2", "1,2s", "100ms..1s", "0s,1s"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_values_in_seconds() {
        let times = range("100ms, 1s").unwrap();
        assert_eq!(times, Range::Times(vec![Duration::from_millis(100), Duration::from_secs(1)]));
        assert_eq!((times.len(), times.values()), (2, vec![0.1, 1.0]));
    }
}
