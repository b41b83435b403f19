//! A recorded run as one HTML file that refers to nothing outside itself.

pub mod chart;
mod page;

pub use page::html;
