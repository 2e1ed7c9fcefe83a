//! Decisions, on their way.
