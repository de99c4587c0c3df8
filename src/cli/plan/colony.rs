//! A `Colony`: what the operator does to be served by it, if its server answers and takes the keys.

use std::fmt::Write as _;

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{super::Failure, MOST_PASSES, Rendered};
use crate::{
    act::{Actor, Recorder, Target},
    api::{
        colony::Colony,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE},
    },
    colony::{
        Executor, ExecutorState, Id,
        model::{ServerInfo, Statistics},
    },
    diff::{ColonyStep, KubernetesStep, Step, plan_colony},
    snapshot::{ColonySnapshot, Credentials, Membership, Observed, OperatorExecutor},
};

/// Plans a connection that is to be made. `text` has its name already.
pub(super) fn plan(mut text: String, object: Colony, now: Timestamp) -> Result<Rendered, Failure> {
    // One that has a status is connected already, or says why not.
    if object.status.is_some() {
        writeln!(text, "has a status: nothing is planned for it")?;
        return Ok(Rendered { steps: text, status: String::new(), is_refused: false });
    }
    let mut snapshot = ColonySnapshot {
        credentials: Credentials::OperatorKeysMissing,
        server: Observed::Known(ServerInfo {
            version: String::new(),
            built_at: String::new(),
            backends: Vec::new(),
        }),
        membership: Membership::Stranger,
        executors: Observed::Known(Vec::new()),
        busy_executors: None,
        operator_executors: Vec::new(),
        definitions: Observed::Known(Vec::new()),
        blueprints: Observed::Known(Vec::new()),
        object,
        now,
    };
    for pass in 1..=MOST_PASSES {
        let plan = plan_colony(&snapshot);
        if plan.is_idle() {
            break;
        }
        writeln!(text, "pass {pass}")?;
        write!(text, "{plan}")?;
        let recorder = Recorder::default();
        let object = snapshot.object.clone();
        let target = Target { object: &object, kind: &(), finalizer: None, connection: None, colony: None };
        // Nothing is awaited where nothing is written.
        let _ = Actor::new(&recorder).execute(plan, &target).now_or_never();
        recorder.steps().into_iter().for_each(|step| assume(&mut snapshot, step));
    }
    writeln!(text, "then ready, once the server answers")?;
    Ok(Rendered { steps: text, status: String::new(), is_refused: false })
}

/// Changes the snapshot as a step would change the world.
fn assume(snapshot: &mut ColonySnapshot, step: Step) {
    match step {
        Step::Kubernetes(KubernetesStep::CreateOperatorKeys { place }) => {
            snapshot.credentials = Credentials::Complete;
            let own = |role: &str, executor_type| OperatorExecutor {
                name: format!("{place}-{role}-<random>"),
                id: "0".repeat(64),
                executor_type,
            };
            snapshot.operator_executors =
                vec![own("operator", CONTROLLER_EXECUTOR_TYPE), own("reconciler", RECONCILER_EXECUTOR_TYPE)];
        }
        Step::Colony(ColonyStep::RegisterMember) => {
            snapshot.membership = Membership::Member(Statistics {
                executors: 0,
                active_executors: 0,
                unregistered_executors: 0,
                waiting: 0,
                running: 0,
                successful: 0,
                failed: 0,
                cancelled: 0,
            });
        }
        Step::Colony(ColonyStep::RegisterOperator { name, id, executor_type, location }) => {
            if let (Observed::Known(executors), Ok(id)) = (&mut snapshot.executors, Id::parse(&id)) {
                executors.push(Executor {
                    id,
                    name,
                    executor_type: executor_type.to_owned(),
                    colony: snapshot.object.name_any(),
                    state: ExecutorState::Approved,
                    location: location.unwrap_or_default(),
                    added_at: None,
                    last_heard_at: None,
                    blueprint_id: String::new(),
                    blueprint_generation: 0,
                });
            }
        }
        Step::Colony(ColonyStep::AddDefinition(definition)) => {
            if let Observed::Known(definitions) = &mut snapshot.definitions {
                definitions.push(*definition);
            }
        }
        Step::Kubernetes(_) | Step::Colony(_) => {}
    }
}
