//! The budget is tower's: in its decisions, and in what they do to a failing service.
