//! What commands do to a mesh that is there: proxies into workloads and proof of them, lint and health.
//!
//! ```text
//! workloads  what the user means by `deploy/NAME`, `--all`, `-l`
//! injection  annotation → restart → wait → proof per pod        explain   why a pod has no proxy
//! survey     the objects that lint looks at                     checks    health as a table
//! calls      lint of policies along calls
//! readiness  how many pods of a Deployment are ready now
//! ```

pub mod calls;
pub mod checks;
pub mod explain;
pub mod injection;
pub mod readiness;
pub mod survey;
pub mod workloads;
