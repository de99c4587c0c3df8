//! The kinds whose objects processes or blueprints of a colony carry out: the stages of each, as its controller calls them.

use jiff::Timestamp;
use kube::Resource;

use super::passes::{Rehearsed, Status};
use crate::{
    act::outcome::Outcome,
    api::{
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        instance::Instance,
        kind::HasFinalizer as _,
        mirror::{MirrorStatus, Mirrored as _},
        request_state::RequestState,
    },
    colony::{Process, model::Blueprint},
    controllers::{decide_instance, decide_process, decide_request, decide_workflow},
    diff::{Plan, Problem},
    snapshot::{ColonyProcessSnapshot, ColonyWorkflowSnapshot, InstanceSnapshot, Observed, RequestSnapshot},
    status,
};

macro_rules! rehearsed {
    ($snapshot:ty, $object:ty, $decide:path, $status:expr, $kind:expr $(, $blueprint:ident)?) => {
        impl Rehearsed for $snapshot {
            type Findings = ();
            type Object = $object;

            const FINALIZER: Option<&'static str> = Some(<$object>::FINALIZER);

            fn decide(&self) -> Result<(Plan, ()), Problem> {
                $decide(self).map(|plan| (plan, ()))
            }

            fn status(&self, pass: Result<(&Outcome, &()), &Problem>) -> Option<Status<Self>> {
                $status(self, pass.map(|(outcome, ())| outcome))
            }

            fn object(&mut self) -> &mut $object {
                &mut self.object
            }

            fn kind(&self) -> <$object as Resource>::DynamicType {
                $kind(self)
            }

            fn now(&self) -> Timestamp {
                self.header.now
            }

            fn mirror(&self) -> Option<&MirrorStatus> {
                self.object.mirror()
            }

            fn processes(&mut self) -> Option<&mut Observed<Vec<Process>>> {
                Some(&mut self.header.processes)
            }

            $(fn blueprint(&mut self) -> Option<&mut Observed<Option<Blueprint>>> {
                Some(&mut self.$blueprint.blueprint)
            })?
        }
    };
}

rehearsed!(
    ColonyProcessSnapshot,
    ColonyProcess,
    decide_process,
    |snapshot, pass| Some(status::colony_process::compute(snapshot, pass)),
    |_: &Self| ()
);
rehearsed!(
    ColonyWorkflowSnapshot,
    ColonyWorkflow,
    decide_workflow,
    |snapshot, pass| Some(status::colony_workflow::compute(snapshot, pass)),
    |_: &Self| ()
);
rehearsed!(RequestSnapshot, RequestState, decide_request, status::request_operator::compute, |_: &Self| ());
rehearsed!(
    InstanceSnapshot,
    Instance,
    decide_instance,
    |snapshot, pass| Some(status::instance::compute(snapshot, pass)),
    |snapshot: &Self| snapshot.kind.clone(),
    in_colony
);
