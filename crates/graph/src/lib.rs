//! Call graphs.
