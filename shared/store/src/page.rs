//! A page of a list.

/// Some of a list, and where the rest begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, in order.
    pub items: Vec<T>,
    /// The cursor to ask on with; none at the end.
    pub next: Option<String>,
}
