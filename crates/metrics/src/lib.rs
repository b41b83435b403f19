//! What the proxies themselves count, without a Prometheus.
//!
//! ```text
//! pods (who is meshed) → scrape (each proxy's text, in parallel) → text (parse) → difference of two → tables
//! ```
//!
//! A table is the difference of two scrapes of the same pods; one dump is its difference to zero.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod arrivals;
pub mod callers;
pub mod edges;
pub mod endpoints;
mod families;
pub mod latency;
pub mod outcomes;
mod pod_request;
pub mod pods;
pub mod prometheus;
mod ratio;
pub mod rolling;
pub mod rotation;
pub mod routes;
pub mod saved;
pub mod scrape;
pub mod series;
pub mod stat;
pub mod text;
pub mod window;

pub use callers::Callers;
pub use outcomes::Outcomes;
pub use pod_request::{PodFailure, pod_request};
pub use pods::{Pod, Workload};
pub use rolling::Rolling;
pub use rotation::Rotation;
pub use routes::RouteCounts;
pub use saved::SavedWindow;
pub use scrape::{ScrapedPod, Scrapes, scrape_pods};
pub use series::{Scrape, Series};
pub use window::{PodWindow, Window};
