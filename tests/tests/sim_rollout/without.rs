//! What is left out must be missed: parts of the guard, and write conditions of the store.
