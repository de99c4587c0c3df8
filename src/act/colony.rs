//! Writes to a colony on behalf of an object: one call a step, never repeated here. Whether a call whose answer never
//! came was carried out is for the next snapshot to find out.

use std::time::{Duration, Instant};

use super::{
    blueprint::BlueprintWriter,
    failure::{ColonyWrite, is_name_taken_in_colony, of_colony, of_colony_write, refused},
    outcome::{Effect, FailureKind, StepFailure},
};
use crate::{
    api::{installation::operator_member_name, names::CONTROLLER_EXECUTOR_TYPE},
    colony::{
        Error, Executor, ExecutorState, Id, InvalidField, NewExecutor, NewUser, Process, ProcessId,
        ProcessState, Session,
    },
    desired::DesiredProcess,
    diff::{Answer, ColonyStep},
    memory::{
        absences::Absences,
        adds::{Added, Adds},
        blueprints::Blueprints,
        connections::{Connection, OperatorIdentity},
        processes::{Expectation, Processes},
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
    /// Since when no other process can have written.
    pub alone_since: Option<Instant>,
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
                self.submissions.sent(&workflow.label, self.clock.instant());
                self.connection.member.submit_workflow(&workflow.spec).await.map_err(failed)?;
                // Which workflow it is is looked up by label, and so are its nodes.
                Ok(Effect::Nothing)
            }
            ColonyStep::Cancel { process_id, .. } => {
                let id = self.invalidated(process_id);
                // If it is over or gone, the next snapshot asks what became of it.
                of_colony_write(ColonyWrite::Cancel, &what, self.connection.member.cancel(&id).await)
            }
            ColonyStep::CancelGraph { graph_id, .. } => self.cancel_graph(graph_id, &what).await,
            ColonyStep::OpenGate { process_id, graph_id } => {
                let (operator, id) = (self.operator(&what)?, self.invalidated(process_id));
                operator.session.close_successful(&id, &[]).await.map_err(failed)?;
                // What waited behind it waits for an executor now.
                self.processes.invalidate_workflow(graph_id, self.clock.instant());
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
                let user = NewUser::new(owner.colony(), &operator_member_name(id.as_str()), id.clone())
                    .map_err(|error| refused(&what, &error))?;
                owner.add_user(&user).await.map_err(failed)?;
                Ok(Effect::Nothing)
            }
            ColonyStep::RemoveMember => {
                let (owner, member) = (&self.connection.owner, &self.connection.member);
                let removed = owner.remove_user(&operator_member_name(member.id().as_str())).await;
                of_colony_write(ColonyWrite::Remove, &what, removed)
            }
            ColonyStep::RegisterOperator { name, id, executor_type, origin, location } => {
                let (owner, member) = (&self.connection.owner, &self.connection.member);
                let executor = new_executor(owner.colony(), name, executor_type, id, location.as_deref())
                    .map_err(|error| refused(&what, &error))?
                    .blueprint(origin, 0);
                register(owner, member, &executor).await.map_err(failed)?;
                Ok(Effect::Nothing)
            }
            ColonyStep::AddDefinition(definition) => {
                let added = Added::Definition(self.name.to_owned(), definition.metadata.name.clone());
                self.adds.sent(added.clone(), self.clock.instant());
                let answer = self.connection.owner.add_blueprint_definition(definition).await;
                if answer.as_ref().map_or_else(Error::is_already_exists, |_| true) {
                    self.adds.settled(added, self.clock.instant());
                }
                of_colony_write(ColonyWrite::Add, &what, answer)
            }
            ColonyStep::RemoveDefinition { name } => {
                let removed = self.connection.owner.remove_blueprint_definition(name).await;
                if removed.is_ok() {
                    // Whatever was added before has arrived.
                    let added = Added::Definition(self.name.to_owned(), name.clone());
                    self.adds.settled(added, self.clock.instant());
                }
                of_colony_write(ColonyWrite::Remove, &what, removed)
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
        match step {
            ColonyStep::RegisterExecutor { name, id, executor_type, origin, location } => {
                let executor = new_executor(owner.colony(), name, executor_type, id, location.as_deref())
                    .map_err(|error| refused(what, &error))?
                    .blueprint(origin, 0);
                self.adds.sent(self.executor(name), self.clock.instant());
                register(owner, member, &executor).await.map_err(|error| of_colony(what, &error))?;
                self.adds.settled(self.executor(name), self.clock.instant());
                self.connection.note_executor(
                    Executor {
                        id: executor.id().clone(),
                        name: name.clone(),
                        executor_type: executor_type.clone(),
                        colony: owner.colony().to_owned(),
                        state: ExecutorState::Approved,
                        location: location.clone().unwrap_or_default(),
                        added_at: None,
                        last_heard_at: None,
                        blueprint_id: origin.clone(),
                        blueprint_generation: 0,
                        capabilities: crate::colony::Capabilities::default(),
                    },
                    self.clock.instant(),
                );
            }
            ColonyStep::RemoveExecutor { name } => {
                of_colony_write(ColonyWrite::Remove, what, owner.remove_executor(name).await)?;
                self.adds.settled(self.executor(name), self.clock.instant());
                self.connection.note_removed(name, self.clock.instant());
            }
            _ => {}
        }
        Ok(Effect::Nothing)
    }

    fn executor(&self, name: &str) -> Added {
        Added::Executor(self.name.to_owned(), name.to_owned())
    }

    async fn cancel_graph(&self, graph_id: &str, what: &str) -> Result<Effect, StepFailure> {
        let cancelled = self.connection.member.cancel_process_graph(graph_id).await;
        let effect = of_colony_write(ColonyWrite::CancelWorkflow, what, cancelled)?;
        // No event names the nodes of a cancelled workflow, and they are not known here.
        self.processes.invalidate_workflow(graph_id, self.clock.instant());
        Ok(effect)
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
        of_colony_write(ColonyWrite::Answer, what, closed)
    }

    /// A process that is about to be written to: what was read of it holds no longer, whatever the answer.
    fn invalidated(&self, process_id: &str) -> ProcessId {
        let id = ProcessId::new(process_id);
        self.processes.invalidate(&id, self.clock.instant());
        id
    }

    async fn submit(&self, process: &DesiredProcess, what: &str) -> Result<Effect, StepFailure> {
        let is_first =
            self.alone_since.is_some_and(|since| self.submissions.was_never_sent(&process.label, since));
        let operator =
            if process.is_gated || process.is_own { self.operator(what)?.name.as_str() } else { "" };
        // Before the first byte leaves: from here on the label counts as tried.
        self.submissions.sent(&process.label, self.clock.instant());
        let expected = self.processes.expect(&process.label);
        let (member, asked_at) = (&self.connection.member, self.clock.instant());
        if process.is_gated {
            let workflow = process.gated(operator).map_err(|error| refused(what, &error))?;
            member.submit_workflow(&workflow).await.map_err(|error| of_colony(what, &error))?;
            // Which process it is is looked up by label, and on record before the gate is opened.
            return Ok(Effect::Nothing);
        }
        let call = process.call(operator).map_err(|error| refused(what, &error))?;
        let submitted = member.submit(&call).await.map_err(|error| of_colony(what, &error))?;
        self.processes.submitted(member.id(), &submitted, asked_at);
        if !is_first {
            // An earlier one may be there by now. Which process it is is looked up by label: the oldest.
            return Ok(Effect::Nothing);
        }
        let is_running = self.is_assigned(&submitted, expected).await;
        Ok(Effect::Submitted {
            process_id: submitted.id.to_string(),
            submitted_at: Some(submitted.submitted_at),
            is_running,
        })
    }

    /// Whether a process that the operator itself carries out was assigned right away: status then says so at once, not in
    /// a write of its own.
    async fn is_assigned(&self, submitted: &Process, expected: Expectation) -> bool {
        let is_own = submitted.spec.conditions.executor_type == CONTROLLER_EXECUTOR_TYPE;
        if !is_own || self.connection.operator(CONTROLLER_EXECUTOR_TYPE).is_none() {
            return false;
        }
        let member = self.connection.member.id();
        let state = self.processes.leaves_queue(member, &submitted.id, expected, ASSIGNMENT).await;
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
        Err(error) if is_name_taken_in_colony(&error) => {
            let found = member.executor(executor.name()).await?;
            if &found.id != executor.id() {
                return Err(error);
            }
        }
        Err(error) => return Err(error),
    }
    owner.approve_executor(executor.name()).await
}
