//! What a fleet file means, and what is said of one that means nothing.

use super::*;
