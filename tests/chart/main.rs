//! The rung `chart`: what Helm makes of the charts, checked as the objects that a cluster would get.

mod helm;
mod operator;
mod permissions;
