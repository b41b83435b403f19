//! A service that fails on purpose.
