//! The retry storm that ships: a chain of four services whose last one has few workers.
//!
//! The load is 60 % of what the last service can do. A trigger overloads it for a while. Whether goodput comes back when the
//! trigger has ended depends on the policy: where timed-out attempts are retried and work without a waiting client continues,
//! the overload sustains itself.

mod policies;
mod trigger;

use std::time::Duration;

pub use policies::{StormPolicy, Timeouts, extras, policies};
pub use trigger::{ParseTriggerError, Trigger, TriggerKind, triggers};

use crate::model::{Capacity, Distribution, Load, Model, ModelError, Network, Phase};
use crate::predict::{Options, Prediction, predict};
use crate::recovery::{Observation, ReliefPhases};

/// The storm's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Storm {
    /// Services of the chain.
    pub services: usize,
    /// Workers of the last service.
    pub workers: usize,
    /// Requests that wait for its workers.
    pub queue: usize,
    /// Its mean service time, exponentially distributed.
    pub service_time: Duration,
    /// Requests per second of the load, evenly spaced.
    pub rate: f64,
    /// The network.
    pub network: Network,
    /// Whole seconds before the trigger.
    pub warm_up: usize,
    /// What is observed after it.
    pub form: Form,
}

/// How long a storm is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 45 s after the trigger; then the relief phases.
    Full,
    /// 10 s after the trigger, of which the last five decide.
    Short,
}

/// Seconds that the full form observes after the trigger.
const OBSERVED: usize = 45;
/// The relief phases: seconds and share of the load.
const REDUCED: (usize, f64) = (10, 0.4);
const PAUSE: usize = 5;
const RESTORED: usize = 10;
/// Seconds after the trigger that decide in the short form.
const SHORT: std::ops::Range<usize> = 5..10;
/// Seconds without a trigger.
const UNTRIGGERED: usize = 300;

impl Default for Storm {
    /// The scenario that ships: 30/s at a service that can do 50/s, the trigger after 3 s.
    fn default() -> Self {
        Self {
            services: 4,
            workers: 4,
            queue: 100,
            service_time: Duration::from_millis(80),
            rate: 30.0,
            network: Network::default(),
            warm_up: 3,
            form: Form::Full,
        }
    }
}

impl Storm {
    /// Returns the short form that ships: smaller, so that other work for the processor matters less.
    pub fn small() -> Self {
        Self { workers: 1, queue: 15, rate: 5.0, form: Form::Short, ..Self::default() }
    }

    /// Returns the model of the storm under a policy; without a trigger it lasts 300 s.
    pub fn model(&self, policy: &StormPolicy, trigger: Option<&Trigger>) -> Model {
        let seconds = |count: usize| Duration::from_secs(count as u64);
        let mut load = Load::even(self.rate, seconds(self.length(trigger)));
        let last = self.services - 1;
        if let (Form::Full, Some(trigger)) = (self.form, trigger) {
            let phases = self.relief_phases(trigger);
            let phase = |at: usize, factor| Phase { at: seconds(at), factor };
            load.phases = vec![
                phase(phases.reduced.start, REDUCED.1),
                phase(phases.reduced.end, 0.0),
                phase(phases.after_pause.start, 1.0),
            ];
        }
        let mut model = Model::chain(self.services, load);
        model.network = self.network;
        model.services[last].capacity = Some(Capacity {
            workers: self.workers,
            queue: self.queue,
            service_time: self.service_time,
            distribution: Distribution::Exponential,
            cancel: false,
        });
        model.faults = trigger.iter().map(|trigger| trigger.fault(last, seconds(self.warm_up))).collect();
        policy.apply(&mut model);
        model
    }

    /// Predicts the storm under a policy. The options' observation and relief phases are replaced by the storm's.
    ///
    /// # Errors
    /// When a number of the storm makes the model invalid.
    pub fn predict(
        &self,
        policy: &StormPolicy,
        trigger: Option<&Trigger>,
        options: &Options,
    ) -> Result<Prediction, ModelError> {
        let relief = trigger.filter(|_| self.form == Form::Full).map(|trigger| self.relief_phases(trigger));
        let options = Options { observation: Some(self.observation(trigger)), relief, ..options.clone() };
        predict(&self.model(policy, trigger), &options)
    }

    /// Returns which seconds decide about the class.
    pub fn observation(&self, trigger: Option<&Trigger>) -> Observation {
        let Some(trigger) = trigger else { return Observation::NoTrigger };
        let end = self.trigger_end(trigger);
        match self.form {
            Form::Full => Observation::Recovery(end..end + OBSERVED),
            Form::Short => {
                Observation::Short { trigger_end: end, observed: end + SHORT.start..end + SHORT.end }
            }
        }
    }

    /// Returns where the relief phases are.
    pub(crate) fn relief_phases(&self, trigger: &Trigger) -> ReliefPhases {
        let begin = self.trigger_end(trigger) + OBSERVED;
        let reduced = begin..begin + REDUCED.0;
        let restored = reduced.end + PAUSE;
        ReliefPhases { reduced, after_pause: restored..restored + RESTORED }
    }

    fn length(&self, trigger: Option<&Trigger>) -> usize {
        let Some(trigger) = trigger else { return UNTRIGGERED };
        match self.form {
            Form::Full => self.relief_phases(trigger).after_pause.end,
            Form::Short => self.trigger_end(trigger) + SHORT.end,
        }
    }

    /// The second in which the trigger has ended.
    fn trigger_end(&self, trigger: &Trigger) -> usize {
        self.warm_up + trigger.lasts.as_secs_f64().ceil() as usize
    }
}
