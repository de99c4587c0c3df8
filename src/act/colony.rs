//! Writes to a colony on behalf of an object: one call a step, never repeated here. Whether a call whose answer never
//! came was carried out is for the next snapshot to find out.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    blueprint::BlueprintWriter,
    failure::{of_colony, refused},
    outcome::{Effect, FailureKind, StepFailure},
};
use crate::{
    api::names::{CONTROLLER_EXECUTOR_TYPE, OPERATOR},
    colony::{
        Error, ExecutorState, Id, InvalidField, NewExecutor, NewUser, Process, ProcessId, ProcessState,
        Session,
    },
    desired::DesiredProcess,
    diff::{Answer, ColonyStep},
    memory::{
        absences::Absences,
        adds::{Added, Adds},
        blueprints::Blueprints,
        connections::{Connection, OperatorIdentity},
        processes::Processes,
        submissions::Submissions,
    },
    runtime::clock::Clock,
};

/// How long a process of the operator's own may take to be assigned to it before the pass goes on without.
const ASSIGNMENT: Duration = Duration::from_millis(250);

/// The colony of one object.
pub(super) struct Colony<'a> {
    pub connection: &'a Connection,
    /// Name of the `Colony`.
    pub name: &'a str,
    pub blueprints: &'a Blueprints,
    pub submissions: &'a Submissions,
    pub adds: &'a Adds,
    pub absences: &'a Absences,
    /// When the term of leadership began.
    pub term: Option<Timestamp>,
    pub processes: &'a Processes,
    pub clock: &'a Clock,
}

impl Colony<'_> {
    /// Carries one step out.
    pub async fn execute(&self, step: &ColonyStep) -> Result<Effect, StepFailure> {
        let what = step.to_string();
        let failed = |error: Error| of_colony(&what, &error);
        match step {
            ColonyStep::RegisterExecutor { .. } | ColonyStep::RemoveExecutor { .. } => {
                self.executor_step(step, &what).await
            }
            ColonyStep::Submit(process) => self.submit(process, &what).await,
            ColonyStep::SubmitWorkflow(workflow) => {
                // As for a process: from here on the label counts as tried.
                self.submissions.sent(&workflow.label, self.clock.now());
                self.connection.member.submit_workflow(&workflow.spec).await.map_err(failed)?;
                // Which workflow it is is looked up by label, and so are its nodes.
                Ok(Effect::Nothing)
            }
            ColonyStep::Cancel { process_id, .. } => {
                let id = self.invalidated(process_id);
                match self.connection.member.cancel(&id).await {
                    Ok(()) => {}
                    // Over or gone already. Either way the next snapshot asks what became of it.
                    Err(error) if error.is_conflict() || error.is_not_found() => {}
                    Err(error) => return Err(failed(error)),
                }
                Ok(Effect::Nothing)
            }
            ColonyStep::CancelGraph { graph_id, .. } => self.cancel_graph(graph_id, &what).await,
            ColonyStep::OpenGate { process_id } => {
                let (operator, id) = (self.operator(&what)?, self.invalidated(process_id));
                operator.session.close_successful(&id, &[]).await.map_err(failed)?;
                Ok(Effect::Nothing)
            }
            ColonyStep::CloseSuccessful { process_id, output } => {
                let (operator, id) = (self.operator(&what)?, self.invalidated(process_id));
                operator.session.close_successful(&id, output).await.map_err(failed)?;
                self.processes.forget(&id);
                Ok(Effect::Nothing)
            }
            ColonyStep::CloseFailed { process_id, errors } => {
                let (operator, id) = (self.operator(&what)?, self.invalidated(process_id));
                operator.session.close_failed(&id, errors).await.map_err(failed)?;
                self.processes.forget(&id);
                Ok(Effect::Nothing)
            }
            ColonyStep::RegisterMember => {
                let (owner, member) = (&self.connection.owner, &self.connection.member);
                let id = member.id();
                let short: String = id.as_str().chars().take(12).collect();
                let user = NewUser::new(owner.colony(), &format!("{OPERATOR}-{short}"), id.clone())
                    .map_err(|error| refused(&what, &error))?;
                owner.add_user(&user).await.map_err(failed)?;
                Ok(Effect::Nothing)
            }
            ColonyStep::RegisterOperator { name, id, executor_type, location } => {
                let (owner, member) = (&self.connection.owner, &self.connection.member);
                let executor = new_executor(owner.colony(), name, executor_type, id, location.as_deref())
                    .map_err(|error| refused(&what, &error))?;
                register(owner, member, &executor).await.map_err(failed)?;
                Ok(Effect::Nothing)
            }
            // A name that is taken is looked at in the next pass: an earlier try may have been carried out and not answered.
            ColonyStep::AddDefinition(definition) => {
                let added = Added::Definition(self.name.to_owned(), definition.metadata.name.clone());
                self.adds.sent(added.clone(), self.clock.now());
                match self.connection.owner.add_blueprint_definition(definition).await {
                    Ok(_) => {
                        self.adds.settled(added, self.clock.now());
                        Ok(Effect::Nothing)
                    }
                    Err(error) if error.is_already_exists() => {
                        self.adds.settled(added, self.clock.now());
                        Err(StepFailure { kind: FailureKind::Conflict, ..failed(error) })
                    }
                    Err(error) => Err(failed(error)),
                }
            }
            ColonyStep::RemoveDefinition { name } => {
                match self.connection.owner.remove_blueprint_definition(name).await {
                    // Whatever was added before has arrived.
                    Ok(()) => {
                        let removed = Added::Definition(self.name.to_owned(), name.clone());
                        self.adds.settled(removed, self.clock.now());
                        Ok(Effect::Nothing)
                    }
                    Err(error) if error.is_not_found() => Ok(Effect::Gone),
                    Err(error) => Err(failed(error)),
                }
            }
            ColonyStep::Answer { process_id, executor_type, answer } => {
                self.answer(process_id, executor_type, answer, &what).await
            }
            ColonyStep::AddBlueprint(_)
            | ColonyStep::UpdateBlueprint { .. }
            | ColonyStep::UpdateBlueprintStatus { .. }
            | ColonyStep::RemoveBlueprint { .. } => {
                let (member, known) = (&self.connection.member, self.blueprints);
                let (adds, absences, clock) = (self.adds, self.absences, self.clock);
                let writer = BlueprintWriter { member, colony: self.name, known, adds, absences, clock };
                writer.execute(step, &what).await?;
                Ok(Effect::Nothing)
            }
        }
    }

    async fn executor_step(&self, step: &ColonyStep, what: &str) -> Result<Effect, StepFailure> {
        let (owner, member) = (&self.connection.owner, &self.connection.member);
        let (name, state) = match step {
            ColonyStep::RegisterExecutor { name, id, executor_type, location } => {
                let executor = new_executor(owner.colony(), name, executor_type, id, location.as_deref())
                    .map_err(|error| refused(what, &error))?;
                self.adds.sent(self.executor(name), self.clock.now());
                register(owner, member, &executor).await.map_err(|error| of_colony(what, &error))?;
                (name, ExecutorState::Approved)
            }
            ColonyStep::RemoveExecutor { name } => {
                match owner.remove_executor(name).await {
                    Ok(()) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(of_colony(what, &error)),
                }
                (name, ExecutorState::Unregistered)
            }
            _ => return Ok(Effect::Nothing),
        };
        self.adds.settled(self.executor(name), self.clock.now());
        self.connection.note_executor(name, state, self.clock.instant());
        Ok(Effect::Nothing)
    }

    fn executor(&self, name: &str) -> Added {
        Added::Executor(self.name.to_owned(), name.to_owned())
    }

    async fn cancel_graph(&self, graph_id: &str, what: &str) -> Result<Effect, StepFailure> {
        match self.connection.member.cancel_process_graph(graph_id).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {}
            // One that is over can be cancelled again; a conflict means that the server has lost a part of it.
            Err(error) if error.is_conflict() => {
                return Err(StepFailure { kind: FailureKind::Refused, ..of_colony(what, &error) });
            }
            Err(error) => return Err(of_colony(what, &error)),
        }
        // No event names the nodes of a cancelled workflow, and they are not known here.
        self.processes.invalidate_workflow(graph_id, self.clock.instant());
        Ok(Effect::Nothing)
    }

    async fn answer(
        &self,
        process_id: &str,
        executor_type: &str,
        answer: &Answer,
        what: &str,
    ) -> Result<Effect, StepFailure> {
        let operator = self.operator_of(executor_type, what)?;
        let id = ProcessId::new(process_id);
        let closed = match answer {
            Answer::Successful(output) => {
                operator.session.close_successful(&id, std::slice::from_ref(output)).await
            }
            Answer::Failed(why) => operator.session.close_failed(&id, std::slice::from_ref(why)).await,
        };
        match closed {
            Ok(()) => Ok(Effect::Nothing),
            // Cancelled, gone, or given to another meanwhile.
            Err(error) if is_already_closed(&error) => Ok(Effect::Gone),
            Err(error) => Err(of_colony(what, &error)),
        }
    }

    /// A process that is about to be written to: what was read of it holds no longer, whatever the answer.
    fn invalidated(&self, process_id: &str) -> ProcessId {
        let id = ProcessId::new(process_id);
        self.processes.invalidate(&id, self.clock.instant());
        id
    }

    async fn submit(&self, process: &DesiredProcess, what: &str) -> Result<Effect, StepFailure> {
        let is_first = self.term.is_some_and(|term| self.submissions.was_never_sent(&process.label, term));
        // Before the first byte leaves: from here on the label counts as tried.
        self.submissions.sent(&process.label, self.clock.now());
        let (member, asked_at) = (&self.connection.member, self.clock.instant());
        if process.is_gated {
            let workflow = process.gated().map_err(|error| refused(what, &error))?;
            member.submit_workflow(&workflow).await.map_err(|error| of_colony(what, &error))?;
            // Which process it is is looked up by label, and on record before the gate is opened.
            return Ok(Effect::Nothing);
        }
        let submitted = member.submit(&process.spec).await.map_err(|error| of_colony(what, &error))?;
        self.processes.submitted(member.id(), &submitted, asked_at);
        if !is_first {
            // An earlier one may be there by now. Which process it is is looked up by label: the oldest.
            return Ok(Effect::Nothing);
        }
        let is_running = self.is_assigned(&submitted).await;
        Ok(Effect::Submitted {
            process_id: submitted.id.to_string(),
            submitted_at: Some(submitted.submitted_at),
            is_running,
        })
    }

    /// Whether a process that the operator itself carries out was assigned right away: status then says so at once, not in
    /// a write of its own.
    async fn is_assigned(&self, submitted: &Process) -> bool {
        let is_own = submitted.spec.conditions.executor_type == CONTROLLER_EXECUTOR_TYPE;
        if !is_own || self.connection.operator(CONTROLLER_EXECUTOR_TYPE).is_none() {
            return false;
        }
        let member = self.connection.member.id();
        let state = self.processes.leaves_queue(member, &submitted.id, ASSIGNMENT).await;
        state == Some(ProcessState::Running)
    }

    fn operator(&self, what: &str) -> Result<&OperatorIdentity, StepFailure> {
        self.operator_of(CONTROLLER_EXECUTOR_TYPE, what)
    }

    fn operator_of(&self, executor_type: &str, what: &str) -> Result<&OperatorIdentity, StepFailure> {
        self.connection.operator(executor_type).ok_or_else(|| StepFailure {
            kind: FailureKind::Unavailable,
            message: format!("failed to {what}: the operator is not registered in the colony yet"),
        })
    }
}

/// An executor to be registered.
fn new_executor(
    colony: &str,
    name: &str,
    executor_type: &str,
    id: &str,
    location: Option<&str>,
) -> Result<NewExecutor, InvalidField> {
    let executor = NewExecutor::new(colony, name, executor_type, Id::parse(id)?)?;
    location.map_or(Ok(executor.clone()), |location| executor.location(location))
}

/// Registers an executor and approves it. Registered already under the same key is as good as done: the answer to an
/// earlier try may have been lost.
async fn register(owner: &Session, member: &Session, executor: &NewExecutor) -> Result<(), Error> {
    match owner.add_executor(executor).await {
        Ok(_) => {}
        Err(error) if error.is_already_exists() => {
            let found = member.executor(executor.name()).await?;
            if &found.id != executor.id() {
                return Err(error);
            }
        }
        Err(error) => return Err(error),
    }
    owner.approve_executor(executor.name()).await
}

/// Whether a close was refused because the process is over: cancelled, gone, closed by an earlier try, or another
/// executor's by now.
fn is_already_closed(error: &Error) -> bool {
    error.is_not_found() || error.is_conflict() || error.is_forbidden()
}
