//! How the client takes what servers do.

use super::*;
