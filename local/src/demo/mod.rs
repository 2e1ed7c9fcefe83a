//! The newcomer's first minute: a small fleet of demo hosts in this process, and weather that breaks them.

pub mod fleet;
pub mod host;
pub mod key;
mod plain;
pub mod release;
pub mod rollouts;
mod sandbox;
pub mod systemd;
pub mod view;
pub mod weather;

pub use fleet::{DemoFleet, fleet};
pub use host::{Counts, DemoHost, DemoHostSettings};
pub use key::ClientKey;
pub use release::{Release, Releases};
pub use weather::{Gust, Weather};
