//! Reads the process that carries an object: by its id when that is known, else by its label.

use jiff::Timestamp;

use super::snapshot::Observed;
use crate::{
    api::mirror::{MirrorState, MirrorStatus},
    colony::{Error, Process, ProcessId, Session},
    memory::{connections::Connection, processes::Processes, submissions::Submissions},
    runtime::{clock::Clock, lease::Leadership},
};

/// Reads the processes of objects.
#[derive(Clone)]
pub struct ProcessReader {
    /// Processes as they were last read.
    pub processes: Processes,
    /// Submits of this process.
    pub submissions: Submissions,
    /// Since when this process leads.
    pub leadership: Leadership,
    /// The time.
    pub clock: Clock,
}

impl ProcessReader {
    /// The processes that matter to what is on record, read only while there is something to learn.
    pub async fn of(
        &self,
        mirror: Option<&MirrorStatus>,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        let Some(mirror) = mirror else { return Observed::Known(Vec::new()) };
        let untried = self
            .leadership
            .term_started_at()
            .is_some_and(|term| self.submissions.is_untried(&mirror.label, term));
        if (mirror.state == MirrorState::Intended && untried)
            || (mirror.state != MirrorState::Intended && !mirror.state.is_live())
        {
            return Observed::Known(Vec::new());
        }
        let Some(connection) = connection else { return Observed::Unknown("not connected".to_owned()) };
        if let Some(problem) = &connection.problem {
            return Observed::Unknown(problem.clone());
        }
        let read = match &mirror.process_id {
            Some(id) => self.process_and_gate(&connection.member, &ProcessId::new(id)).await,
            None => connection.member.processes_labelled(&mirror.label).await,
        };
        match read {
            Ok(processes) => Observed::Known(processes),
            Err(error) => Observed::Unknown(error.to_string()),
        }
    }

    /// A process by its id and, while it waits behind one, its gate.
    async fn process_and_gate(&self, member: &Session, id: &ProcessId) -> Result<Vec<Process>, Error> {
        let mut found = self.process(member, id).await?;
        let gate = found.first().filter(|process| process.waits_for_parents);
        if let Some(gate) = gate.and_then(|process| process.parents.first().cloned()) {
            found.extend(self.process(member, &gate).await?);
        }
        Ok(found)
    }

    /// A process by its id: as it was last read, unless there is reason to ask again. None when there is no such process.
    async fn process(&self, member: &Session, id: &ProcessId) -> Result<Vec<Process>, Error> {
        let asked_at = self.clock.instant();
        if let Some(process) = self.processes.believed(member.id(), id, asked_at) {
            return Ok(vec![process]);
        }
        match member.process(id).await {
            Ok(process) => {
                self.processes.read(member.id(), &process, asked_at);
                Ok(vec![process])
            }
            Err(error) if error.is_not_found() => {
                self.processes.forget(id);
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Before when nothing may be submitted for an intent.
    #[must_use]
    pub fn submit_not_before(&self, mirror: Option<&MirrorStatus>) -> Option<Timestamp> {
        let mirror = mirror.filter(|mirror| mirror.state == MirrorState::Intended)?;
        self.submissions.not_before(&mirror.label, self.leadership.term_started_at()?)
    }
}
