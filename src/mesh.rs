//! What commands do to a mesh that is there: proxies into workloads and proof of them, lint and health.
//!
//! ```text
//! workloads  what the user means by `deploy/NAME`, `--all`, `-l`
//! injection  annotation → restart → wait → proof per pod        explain   why a pod has no proxy
//! survey     the objects that lint looks at                     checks    health as a table
//! calls      lint of policies along calls
//! readiness  how many pods of a Deployment are ready now
//! ```

pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod explain;
pub(crate) mod injection;
pub(crate) mod readiness;
pub(crate) mod survey;
pub(crate) mod workloads;
