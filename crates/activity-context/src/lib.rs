#![doc = include_str!("../README.md")]

pub mod blocking;
pub mod failure;
pub mod scope;

pub use blocking::{BlockingPool, CancelFlag};
pub use failure::{Failure, with_sources};
pub use scope::{Pulse, Scope, Settings, Stop, run};
