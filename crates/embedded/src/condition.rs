//! Conditions in the status of objects.

use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::api::core::v1::{NodeCondition, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::object::now;

/// The fields that the conditions of all kinds have in common.
pub(crate) trait Condition: Default {
    fn type_(&self) -> &str;
    fn is_true(&self) -> bool;
    /// Returns status, reason and message.
    fn state(&self) -> (&str, Option<&str>, Option<&str>);
    fn set(&mut self, type_: &str, status: &str, reason: Option<String>, message: Option<String>);
    fn set_transition_time(&mut self, time: Time);
}

macro_rules! impl_condition {
    ($($kind:ty),*) => { $(
        impl Condition for $kind {
            fn type_(&self) -> &str {
                &self.type_
            }

            fn is_true(&self) -> bool {
                self.status == "True"
            }

            fn state(&self) -> (&str, Option<&str>, Option<&str>) {
                (&self.status, self.reason.as_deref(), self.message.as_deref())
            }

            fn set(&mut self, type_: &str, status: &str, reason: Option<String>, message: Option<String>) {
                self.type_ = type_.to_owned();
                self.status = status.to_owned();
                self.reason = reason;
                self.message = message;
            }

            fn set_transition_time(&mut self, time: Time) {
                self.last_transition_time = Some(time);
            }
        }
    )* };
}

impl_condition!(PodCondition, DeploymentCondition, NodeCondition);

/// Returns the condition of a type.
pub(crate) fn find<'a, C: Condition>(conditions: Option<&'a Vec<C>>, type_: &str) -> Option<&'a C> {
    conditions?.iter().find(|condition| condition.type_() == type_)
}

/// Sets a condition and returns whether that changed it. An empty reason or message is left out.
///
/// The transition time changes only together with the status.
pub(crate) fn set<C: Condition>(
    conditions: &mut Option<Vec<C>>,
    type_: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> bool {
    let status = if status { "True" } else { "False" };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (reason, message) = (text(reason), text(message));
    let all = conditions.get_or_insert_default();
    let index = all.iter().position(|condition| condition.type_() == type_).unwrap_or_else(|| {
        all.push(C::default());
        all.len() - 1
    });
    let condition = &mut all[index];
    let (old_status, old_reason, old_message) = condition.state();
    let same_status = old_status == status;
    if same_status && (old_reason, old_message) == (reason.as_deref(), message.as_deref()) {
        return false;
    }
    if !same_status {
        condition.set_transition_time(now());
    }
    condition.set(type_, status, reason, message);
    true
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::PodCondition;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::set;

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let start = Time(Timestamp::UNIX_EPOCH);
        let mut conditions = Some(vec![PodCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(start.clone()),
            ..PodCondition::default()
        }]);
        let transition = |conditions: &Option<Vec<PodCondition>>| {
            conditions.as_ref().expect("conditions")[0].last_transition_time.clone().expect("a time")
        };
        assert!(set(&mut conditions, "Ready", true, "Because", ""));
        assert_eq!(transition(&conditions), start);
        assert!(!set(&mut conditions, "Ready", true, "Because", ""), "nothing changed");
        assert!(set(&mut conditions, "Ready", false, "Because", ""));
        assert_ne!(transition(&conditions), start);
    }
}
