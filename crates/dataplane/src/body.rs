//! Request and response bodies on their way through the proxy, with what counts and limits them.

mod limits;
mod replay;
mod request;
mod response;
mod track;

pub(crate) use limits::Limits;
pub(crate) use replay::Replay;
pub(crate) use request::RequestBody;
pub(crate) use response::ResponseBody;
pub(crate) use track::{Tracker, Tracking};

/// A response on its way to the caller. Boxed because many functions pass it on by value.
pub(crate) type BoxResponse = Box<http::Response<ResponseBody>>;
