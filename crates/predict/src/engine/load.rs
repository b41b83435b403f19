//! When the requests of the load are sent.

use super::compile::nanos;
use super::event::Event;
use super::state::Parent;
use super::{Engine, SECOND, Time};
use crate::model::{Arrivals, FaultKind, Model};
use crate::random::Random;

/// How far evenly spaced arrivals deviate on average, in nanoseconds, because of the sender's timers. Without any deviation,
/// gaps would equal the slots of a retry budget, which would then act as on no real clock.
const JITTER: f64 = 500_000.0;

/// The arrivals of a load.
pub(super) struct Arrival {
    kind: Arrivals,
    /// Where the rate changes: the time in nanoseconds and the requests per nanosecond from then on.
    rates: Vec<(f64, f64)>,
    /// How many arrivals there have been.
    sent: usize,
    /// How many requests were due at the last arrival: a whole number unless arrivals are random.
    due: f64,
    /// The time of the last arrival, without its deviation.
    last: Time,
    end: Time,
    random: Random,
}

impl Arrival {
    pub(super) fn new(model: &Model, random: Random) -> Self {
        let load = &model.load;
        let (rates, end) = (rates(model), nanos(load.duration));
        Self { kind: load.arrivals, rates, sent: 0, due: 0.0, last: 0, end, random }
    }

    /// Returns the time of the next arrival, or `None` after the last.
    fn next(&mut self) -> Option<Time> {
        self.due = match self.kind {
            Arrivals::Even => self.sent as f64,
            Arrivals::Poisson => self.due + self.random.exponential(1.0),
        };
        // Whole nanoseconds, since quotients may end just below a second.
        self.last = time_of(&self.rates, self.due)?.round() as Time;
        self.sent += 1;
        let jitter = if self.kind == Arrivals::Even { self.random.exponential(JITTER) } else { 0.0 };
        (self.last < self.end).then_some(self.last + jitter as Time)
    }
}

/// Returns the time at which so many requests have been due since the start.
fn time_of(rates: &[(f64, f64)], requests: f64) -> Option<f64> {
    let mut left = requests;
    for (index, (begin, rate)) in rates.iter().enumerate() {
        let until = rates.get(index + 1).map_or(f64::INFINITY, |(begin, _)| *begin);
        let possible = if *rate > 0.0 { (until - begin) * rate } else { 0.0 };
        // A request that is due exactly at a change is sent after it.
        if possible > left {
            return Some(begin + left / rate);
        }
        left -= possible;
    }
    None
}

/// The product of the load's rate, its phase and the faults of each time.
fn rates(model: &Model) -> Vec<(f64, f64)> {
    let load = &model.load;
    let factors = model.faults.iter().filter_map(|fault| match fault.kind {
        FaultKind::Load { factor } => Some((nanos(fault.at), nanos(fault.ends()), factor)),
        _ => None,
    });
    let factors: Vec<(Time, Time, f64)> = factors.collect();
    let mut times: Vec<Time> = load.phases.iter().map(|phase| nanos(phase.at)).collect();
    times.extend(factors.iter().flat_map(|(begin, end, _)| [*begin, *end]));
    times.push(0);
    times.sort_unstable();
    times.dedup();
    let rate = |time: Time| {
        let phase = load.phases.iter().rev().find(|phase| nanos(phase.at) <= time);
        let active = factors.iter().filter(|(begin, end, _)| (*begin..*end).contains(&time));
        let factor: f64 = active.map(|(_, _, factor)| factor).product();
        load.rate / SECOND as f64 * phase.map_or(1.0, |phase| phase.factor) * factor
    };
    times.into_iter().map(|time| (time as f64, rate(time))).collect()
}

impl Engine<'_> {
    pub(super) fn schedule_arrival(&mut self) {
        if let Some(time) = self.arrival.next() {
            self.schedule(time.max(self.now), Event::Arrival);
        }
    }

    pub(super) fn arrive(&mut self) {
        let client = (self.arrival.sent - 1) % self.model.clients;
        self.schedule_arrival();
        self.record.offered(self.now);
        self.start_call(self.model.edges.len(), client, Parent::Load);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Fault, Load, Phase};

    fn per_second(model: &Model) -> Vec<usize> {
        let mut arrival = Arrival::new(model, Random::new(1, 0));
        let mut counts = vec![0; model.load.duration.as_secs() as usize];
        while arrival.next().is_some() {
            counts[(arrival.last / SECOND) as usize] += 1;
        }
        counts
    }

    #[test]
    fn even_arrivals_are_counted_exactly_and_follow_phases_and_faults() {
        let seconds = Duration::from_secs;
        let mut model = Model::chain(1, Load::even(30.0, seconds(6)));
        assert_eq!(per_second(&model), [30; 6]);
        model.load.phases = vec![
            Phase { at: seconds(2), factor: 0.4 },
            Phase { at: seconds(3), factor: 0.0 },
            Phase { at: seconds(4), factor: 1.0 },
        ];
        assert_eq!(per_second(&model), [30, 30, 12, 0, 30, 30]);
        model.faults =
            vec![Fault { kind: FaultKind::Load { factor: 2.0 }, at: seconds(1), lasts: seconds(1) }];
        assert_eq!(per_second(&model), [30, 60, 12, 0, 30, 30]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_on_average() {
        let model = Model::chain(1, Load::poisson(100.0, Duration::from_secs(100)));
        let total: usize = per_second(&model).iter().sum();
        assert!((9_700..10_300).contains(&total), "{total}");
    }
}
