//! Calls of members: users and approved executors. Any member sees and cancels everything in the colony.

use std::collections::HashMap;

use super::{
    super::{
        error::Error,
        model::{
            Colony, Executor, Filter, FunctionSpec, Id, LIST_MAX, Log, LogQuery, Process, ProcessId,
            ProcessQuery, ProcessState, Statistics, User,
        },
        wire::{
            CancelProcess, GetColony, GetColonyStatistics, GetExecutor, GetExecutorById, GetExecutors,
            GetLogs, GetPauseStatus, GetProcess, GetProcessHistory, GetProcesses, GetUser, GetUsers,
            RemoveProcess, SubmitFunctionSpec,
        },
    },
    Session,
};

/// The widest window of a history that is asked for, in seconds: a year.
pub(super) const WIDEST: u32 = 365 * 24 * 60 * 60;

/// The order in which a label is looked up. A process only ever moves forward through the first five, but for
/// the step from running back to waiting; one that takes that step between two reads is met by the last two.
const LOOK_UP: [ProcessState; 7] = [
    ProcessState::Waiting,
    ProcessState::Running,
    ProcessState::Successful,
    ProcessState::Failed,
    ProcessState::Cancelled,
    ProcessState::Waiting,
    ProcessState::Running,
];

impl Session {
    /// Submits a process.
    ///
    /// **Not idempotent**: the server generates the id, so two calls create two processes. When the error [may have
    /// happened](Error::may_have_happened), look the label up before trying again.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the key is no member's (the colony's owner is none); else as any call.
    pub async fn submit(&self, spec: &FunctionSpec) -> Result<Process, Error> {
        self.call(&SubmitFunctionSpec { spec }).await
    }

    /// Reads a process.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none (any more); else as any call.
    pub async fn process(&self, id: &ProcessId) -> Result<Process, Error> {
        self.call(&GetProcess { processid: id }).await
    }

    /// Lists processes of one state. At most 100, and there is no paging: a list of full length may be
    /// incomplete.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn processes(&self, query: &ProcessQuery) -> Result<Vec<Process>, Error> {
        let (executortype, label, initiator) = match &query.filter {
            Filter::All => ("", "", ""),
            Filter::ExecutorType(executor_type) => (executor_type.as_str(), "", ""),
            Filter::Label(label) => ("", label.as_str(), ""),
            Filter::Initiator(initiator) => ("", "", initiator.as_str()),
        };
        let state = query.state.number();
        let call = GetProcesses {
            colonyname: &self.colony,
            count: query.limit,
            state,
            executortype,
            label,
            initiator,
        };
        Ok(self.call(&call).await?.0)
    }

    /// All processes with exactly this label, in whatever state, the oldest first. Each is shown as it was
    /// last seen.
    ///
    /// Reads every state in the order of a life, and the moving ones once more, since a process may step back
    /// from running to waiting between two reads. A process that a **delayed** submit adds later is of course
    /// not in it.
    ///
    /// # Errors
    /// When any of the reads fails; [`Error::Incomplete`] when a state has as many of them as the server can
    /// list; [`Error::Field`] when the label is none.
    pub async fn processes_labelled(&self, label: &str) -> Result<Vec<Process>, Error> {
        self.look_up(label, None).await
    }

    /// As [`Session::processes_labelled`], for a label that more processes carry than the server lists, as the nodes of
    /// a large workflow do. None of them was submitted more than `seconds` ago.
    ///
    /// # Errors
    /// When any of the reads fails; [`Error::Field`] when the label is none.
    pub async fn nodes_labelled(&self, label: &str, seconds: u32) -> Result<Vec<Process>, Error> {
        self.look_up(label, Some(seconds)).await
    }

    async fn look_up(&self, label: &str, seconds: Option<u32>) -> Result<Vec<Process>, Error> {
        let mut found = HashMap::new();
        for state in LOOK_UP {
            let query = ProcessQuery::new(state).labelled(label).map_err(Error::Field)?;
            let mut listed = self.processes(&query).await?;
            if listed.len() >= usize::from(LIST_MAX) {
                let Some(seconds) = seconds else {
                    return Err(Error::Incomplete { action: "look up a label", limit: LIST_MAX });
                };
                // The one list that has no limit knows no label. Its window is by the server's clock, which may be another than
                // the caller's: what the server has just listed has to be in it.
                for window in [seconds, WIDEST.max(seconds)] {
                    let mut history = self.process_history(None, window, state).await?;
                    history.retain(|process| process.spec.label == label);
                    let is_whole = history.len() >= listed.len();
                    listed.extend(history);
                    if is_whole {
                        break;
                    }
                }
            }
            found.extend(listed.into_iter().map(|process| (process.id.clone(), process)));
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|one, other| one.age_key().cmp(&other.age_key()));
        Ok(found)
    }

    /// Cancels a waiting or running process. Its executor is not notified: it learns when it closes.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is final already (also when it was cancelled before); [`Error::NotFound`]
    /// when there is none; [`Error::Invalid`] when it belongs to a workflow; else as any call.
    pub async fn cancel(&self, id: &ProcessId) -> Result<(), Error> {
        self.call(&CancelProcess { processid: id }).await.map(|_| ())
    }

    /// Lists the processes in `state` that were **submitted** within the last `seconds`, the oldest first; with
    /// an executor, only those that it has or had. The one list of the server that has no limit.
    ///
    /// # Errors
    /// As any call, but that the server gives an empty answer to who is no member: [`Error::Ambiguous`], with
    /// status 200. A list that cannot be read is an error, never empty.
    pub async fn process_history(
        &self,
        executor: Option<&Id>,
        seconds: u32,
        state: ProcessState,
    ) -> Result<Vec<Process>, Error> {
        let call = GetProcessHistory {
            colonyname: &self.colony,
            executorid: executor.map_or("", Id::as_str),
            seconds,
            state: state.number(),
        };
        Ok(self.call(&call).await?.0)
    }

    /// Removes a process that is not running, with its attributes.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is running; [`Error::Invalid`] when it belongs to a workflow;
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn remove_process(&self, id: &ProcessId) -> Result<(), Error> {
        self.call(&RemoveProcess { processid: id }).await.map(|_| ())
    }

    /// Whether the colony's owner has paused assignments. Also for executors that are not approved yet.
    ///
    /// # Errors
    /// As any call.
    pub async fn assignments_are_paused(&self) -> Result<bool, Error> {
        Ok(self.call(&GetPauseStatus { colonyname: &self.colony }).await?.is_paused)
    }

    /// Lists the users of the colony. Also for executors that are not approved yet.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        Ok(self.call(&GetUsers { colonyname: &self.colony }).await?.0)
    }

    /// Reads the user of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn user(&self, name: &str) -> Result<User, Error> {
        self.call(&GetUser { colonyname: &self.colony, name }).await
    }

    /// Lists all executors of the colony, **removed ones included**.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn executors(&self) -> Result<Vec<Executor>, Error> {
        Ok(self.call(&GetExecutors { colonyname: &self.colony }).await?.0)
    }

    /// Reads the executor of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there never was one; else as any call.
    pub async fn executor(&self, name: &str) -> Result<Executor, Error> {
        self.call(&GetExecutor { colonyname: &self.colony, executorname: name }).await
    }

    /// Reads the executor of that identity.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn executor_by_id(&self, id: &Id) -> Result<Executor, Error> {
        self.call(&GetExecutorById { colonyname: &self.colony, executorid: id }).await
    }

    /// Reads the colony's name and the identity of its owner.
    ///
    /// # Errors
    /// As any call.
    pub async fn describe_colony(&self) -> Result<Colony, Error> {
        self.call(&GetColony { colonyname: &self.colony }).await
    }

    /// Counts over the whole colony. The server counts nothing per executor type.
    ///
    /// # Errors
    /// As any call, but that the server gives an empty answer to who is no member: [`Error::Ambiguous`], with
    /// status 200.
    pub async fn statistics(&self) -> Result<Statistics, Error> {
        self.call(&GetColonyStatistics { colonyname: &self.colony }).await
    }

    /// Reads a process's log, the oldest line first.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such process; else as any call.
    pub async fn logs(&self, query: &LogQuery) -> Result<Vec<Log>, Error> {
        let LogQuery { process, since, limit, is_latest } = query;
        let call = GetLogs {
            colonyname: &self.colony,
            processid: process,
            executorname: "",
            count: *limit,
            since: *since,
            latest: *is_latest,
        };
        Ok(self.call(&call).await?.0)
    }
}
