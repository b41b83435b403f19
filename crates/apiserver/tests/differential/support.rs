//! Parts of the differential test.

pub(crate) mod compare;
pub(crate) mod generate;
pub(crate) mod recorded;
pub(crate) mod sequences;
pub(crate) mod step;
pub(crate) mod target;
