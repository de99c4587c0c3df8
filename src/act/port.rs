//! The port behind which steps are carried out.

use std::sync::Arc;

use kube::Resource;

use super::{
    kinds::StatusKind,
    outcome::{Done, StepFailure},
};
use crate::{diff::Step, memory::connections::Connection};

/// What a plan is for.
pub struct Target<'a, K: Resource> {
    /// The object.
    pub object: &'a K,
    /// Its kind.
    pub kind: &'a K::DynamicType,
    /// What holds it until its remote side is gone; none if nothing does.
    pub finalizer: Option<&'static str>,
    /// The connection to its colony, if there is one.
    pub connection: Option<Arc<Connection>>,
    /// Name of the `Colony`, if there is one.
    pub colony: Option<String>,
}

/// Where steps are carried out: the servers, or a record of what would be written.
pub trait Port: Send + Sync {
    /// Whether this process may write at the moment.
    fn is_leader(&self) -> bool;

    /// Carries one step out, once.
    fn execute<K: StatusKind>(
        &self,
        step: &Step,
        target: &Target<'_, K>,
    ) -> impl Future<Output = Result<Done, StepFailure>> + Send;
}
