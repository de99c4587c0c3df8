//! A `Colony`: what the operator does to be served by it, if its server answers and takes the keys.

use std::fmt::Write as _;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    super::Failure,
    Rendered,
    passes::{self, Rehearsed, Status},
};
use crate::{
    act::outcome::Outcome,
    api::{
        colony::Colony,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE},
    },
    colony::{
        Executor, ExecutorState, Id,
        model::{ServerInfo, Statistics},
    },
    diff::{ColonyStep, KubernetesStep, Plan, Problem, Step, plan_colony},
    snapshot::{ColonySnapshot, Credentials, Membership, Observed, OperatorExecutor},
    status,
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
    let end = passes::rehearse(&mut text, &mut snapshot)?;
    passes::tell(&mut text, &end)?;
    writeln!(text, "then ready, once the server answers")?;
    Ok(Rendered { steps: text, status: String::new(), is_refused: false })
}

impl Rehearsed for ColonySnapshot {
    type Findings = ();
    type Object = Colony;

    const FINALIZER: Option<&'static str> = None;

    fn decide(&self) -> Result<(Plan, ()), Problem> {
        Ok((plan_colony(self), ()))
    }

    fn status(&self, pass: Result<(&Outcome, &()), &Problem>) -> Option<Status<Self>> {
        Some(status::colony::compute(self, pass.ok().and_then(|(outcome, ())| outcome.failure())))
    }

    fn object(&mut self) -> &mut Colony {
        &mut self.object
    }

    fn kind(&self) {}

    fn now(&self) -> Timestamp {
        self.now
    }

    fn apply(&mut self, step: Step) -> bool {
        assume(self, step);
        true
    }
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
