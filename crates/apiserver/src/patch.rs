//! The patch formats: JSON patch and JSON merge patch, strategic merge patch, server-side apply.

pub(crate) mod apply;
pub(crate) mod json;
pub(crate) mod strategic;
