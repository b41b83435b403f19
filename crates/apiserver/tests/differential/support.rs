//! Parts of the differential test.

pub(crate) mod compare;
pub(crate) mod generate;
pub(crate) mod recorded;
pub(crate) mod script;
pub(crate) mod target;
