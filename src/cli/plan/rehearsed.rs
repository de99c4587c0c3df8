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
    desired::request::Followed,
    diff::{Plan, Problem, instance, request, work_plan},
    snapshot::{ColonyProcessSnapshot, ColonyWorkflowSnapshot, InstanceSnapshot, Observed, RequestSnapshot},
    status,
};

macro_rules! rehearsed {
    ($snapshot:ty, $object:ty, $decide:expr, $status:expr, $kind:expr $(, $blueprint:ident)?) => {
        impl Rehearsed for $snapshot {
            type Findings = ();
            type Object = $object;

            const FINALIZER: Option<&'static str> = Some(<$object>::FINALIZER);

            fn decide(&self) -> Result<(Plan, ()), Problem> {
                ($decide)(self).map(|plan| (plan, ()))
            }

            fn status(&self, pass: Result<(&Outcome, &()), &Problem>) -> Option<Status<Self>> {
                ($status)(self, pass.map(|(outcome, ())| outcome))
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
    work_plan::decide,
    |snapshot, pass| Some(status::colony_process::compute(snapshot, pass)),
    |_: &Self| ()
);
rehearsed!(
    ColonyWorkflowSnapshot,
    ColonyWorkflow,
    work_plan::decide,
    |snapshot, pass| Some(status::colony_workflow::compute(snapshot, pass)),
    |_: &Self| ()
);
rehearsed!(
    RequestSnapshot,
    RequestState,
    |request: &Self| request::plan::decide(&Followed::of(request.clone())),
    |request: &Self, pass| status::request_operator::compute(&Followed::of(request.clone()), pass),
    |_: &Self| ()
);
rehearsed!(
    InstanceSnapshot,
    Instance,
    instance::decide,
    |snapshot, pass| Some(status::instance::compute(snapshot, pass)),
    |snapshot: &Self| snapshot.kind.clone(),
    in_colony
);
