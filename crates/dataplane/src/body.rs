//! Bodies on their way through the proxy, watched by what counts them.

mod replay;
mod request;
mod response;
mod track;

pub(crate) use replay::Replay;
pub(crate) use request::RequestBody;
pub(crate) use response::{Limits, ResponseBody};
pub(crate) use track::{Tracker, Tracking};

/// An answer on its way back. Every station passes it on by value, so what is passed is small.
pub(crate) type Answer = Box<http::Response<ResponseBody>>;
