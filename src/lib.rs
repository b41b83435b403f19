//! meshy.
