//! A recorded run as one HTML file that refers to nothing outside itself.

pub mod chart;
pub mod curve;
mod page;

pub use page::html;
