//! The programs that belong to no other part of the cluster: the test service and built-in placeholders.

mod placeholder;
mod process;
mod test_service;

pub(crate) use placeholder::{Placeholder, ProxyInit};
pub(crate) use process::{LocalProcess, ProcessContext, Shutdown, TEST_SERVICE};
pub use process::{LocalProgram, NO_SERVICE_REWRITTEN, PROGRAM_EVENTS, Supervisor, has_program};
pub(crate) use test_service::TestService;
