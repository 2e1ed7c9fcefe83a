//! AWS, as far as a function's program can tell: Lambda calls it, a table answers it, other services say what a test
//! wants them to. Everything over the wire, so that the program is the one that is deployed.

mod lambda;
mod service;
mod table;

pub use lambda::{Answer, MEGABYTES, Process, ROLES};
pub use service::Service;
pub use table::{Table, Units};
