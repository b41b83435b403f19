//! Objects that the API server accepts and that still do not do what they say.
