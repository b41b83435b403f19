//! What commands do to a mesh that is there: proxies into workloads, policies onto services, and proof of either.
//!
//! ```text
//! workloads  what the user means by `deploy/NAME`, `--all`, `-l`
//! injection  annotation → restart → wait → proof per pod        explain   why a pod has no proxy
//! clients    who talks to a service, and what its proxy follows: in force, pending, stale
//! policy     retries and splits as annotations and HTTPRoutes    survey    the objects that lint looks at
//! checks     health as a table
//! ```

pub mod checks;
pub mod clients;
pub mod explain;
pub mod injection;
pub mod policy;
pub mod survey;
pub mod workloads;
