//! Counts the calls to colonies.

use std::time::Duration;

use crate::{
    colony::{ErrorKind, Observer},
    runtime::metrics::Metrics,
};

/// Asking for work ends like this whenever there is none.
const ASSIGN: &str = "assignprocessmsg";

/// Hears of every call to a colony.
pub(super) struct Counter(pub Metrics);

impl Observer for Counter {
    fn called(&self, payload_type: &'static str, took: Duration, error: Option<ErrorKind>) {
        let error = error.filter(|error| !(payload_type == ASSIGN && *error == ErrorKind::NotFound));
        self.0.count_colony_call(payload_type, took, error.map(ErrorKind::as_str));
    }
}
