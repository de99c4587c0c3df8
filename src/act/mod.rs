//! Stage 4, do it: carries a plan out, one write after the other, and says what became of each. The only writer besides
//! `status::publish`; it decides nothing.

mod blueprint;
mod child;
mod colony;
pub mod colony_cron;
pub mod connection;
pub mod definition;
mod executor;
mod failure;
mod identity;
pub mod inbound;
pub mod kinds;
pub mod kubernetes;
pub mod migration;
pub mod outcome;
mod owner;
pub mod request;
mod secret;

pub use executor::{Actor, Target};
pub use failure::{of_call, of_colony};
