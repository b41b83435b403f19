//! What the differential test is made of.

pub(crate) mod compare;
pub(crate) mod generate;
pub(crate) mod recorded;
pub(crate) mod script;
pub(crate) mod target;
