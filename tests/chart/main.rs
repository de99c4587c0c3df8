//! The rung `chart`: what Helm makes of the charts, checked as the objects that a cluster would get.

#![cfg(test)]

#[path = "../support/environment.rs"]
mod environment;
mod helm;
mod operator;
mod permissions;
mod releases;
mod versions;
