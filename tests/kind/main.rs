//! The lab on a real engine: up, twice, killed, restarted, on others' clusters, down. `tests/testbed.sh FOLDER` runs it;
//! nothing it makes stays.

mod exact;
mod existing;
mod images;
mod lifecycle;
mod refused;
mod resets;
mod restart;
mod senders;
mod user;
