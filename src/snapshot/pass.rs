//! What one pass knows of an object, whatever its kind.

use jiff::Timestamp;

use super::{
    ColonyCronSnapshot, ColonyProcessSnapshot, ColonyReference, ColonyWorkflowSnapshot, CompositionSnapshot,
    DefinitionSnapshot, ExecutorDeploymentSnapshot, InstanceSnapshot, RequestSnapshot,
};
use crate::api::request_flow::RequestFlow;

/// What one pass knows of an object.
pub trait Snapshot: Send + Sync {
    /// When it was taken.
    fn now(&self) -> Timestamp;

    /// The colony that the object uses, if objects of its kind use one.
    fn colony(&self) -> Option<&ColonyReference> {
        None
    }

    /// Name of the `Colony` that the object uses.
    fn colony_name(&self) -> Option<&str> {
        Some(self.colony()?.resolved()?.name.as_str())
    }
}

macro_rules! snapshots {
    ($($snapshot:ty: $($now:ident).+ $(, $($colony:ident).+)?;)+) => {$(
        impl Snapshot for $snapshot {
            fn now(&self) -> Timestamp {
                self.$($now).+
            }

            $(fn colony(&self) -> Option<&ColonyReference> {
                Some(&self.$($colony).+)
            })?
        }
    )+};
}

/// A flow depends on nothing but itself.
impl Snapshot for (RequestFlow, Timestamp) {
    fn now(&self) -> Timestamp {
        self.1
    }
}

snapshots! {
    ExecutorDeploymentSnapshot: now, colony;
    ColonyProcessSnapshot: header.now, header.colony;
    ColonyWorkflowSnapshot: header.now, header.colony;
    RequestSnapshot: header.now, header.colony;
    InstanceSnapshot: header.now, header.colony;
    CompositionSnapshot: now;
    ColonyCronSnapshot: now;
    DefinitionSnapshot: now;
}
