//! The policy engine: what changes how proxies treat the requests to a service, and the evidence that they do.
//!
//! ```text
//! objects  the objects that a policy is made of          read     the policy of a service as it is
//! about    the objects about one Service                  kinds    which kinds of objects are policies
//! change   PolicyChange: apply, revert, evidence          capture  an object before the first change
//! owners   the field managers of an object                revert   an object as it was before
//! session  the changes of one run, and their end          journal  what a killed run must restore, on disk
//! evidence what a proxy's counters show                   clients  the clients of a service; the wait until they follow
//! probe    requests of meshy's own, and their pauses      namespace  deletes one that a run created
//! inbound  the objects that decide who may call            servers  the proxies of servers that use a policy
//! list     lists of objects, the oldest first
//! ```

mod about;
mod capture;
pub(crate) mod change;
mod clients;
mod evidence;
mod inbound;
mod journal;
mod kinds;
mod list;
mod namespace;
pub mod objects;
mod owners;
pub mod probe;
mod read;
mod revert;
mod servers;
mod session;
#[cfg(test)]
mod tests;
mod write;

pub use about::{About, breakers};
pub use capture::Captured;
pub use change::{Applied, Options, Outcome, PolicyChange};
pub use clients::{Client, Clients};
pub use evidence::{Evidence, State};
pub use kinds::{KINDS, PolicyKind};
pub use owners::{POLICY_GROUPS, RETRY_PREFIX};
pub use probe::Pauses;
pub use read::SHIPPED;
pub use read::{of, of_spec, profile_name, shipped, shipped_with_budget};
pub use revert::Reverted;
pub use servers::servers;
pub use session::{Session, Stopped, restore_left};
