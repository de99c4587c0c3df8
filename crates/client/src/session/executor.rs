//! Calls of approved executors.

use std::time::Duration;

use serde_json::Value;

use super::{
    super::{
        error::Error,
        model::{Attribute, Id, LIST_MAX, NewAttribute, Process, ProcessId, ProcessQuery, ProcessState},
        wire::{
            AddAttribute, AddLog, AssignProcess, ChangeExecutorId, CloseFailed, CloseSuccessful,
            GetAttribute, SetOutput,
        },
    },
    Session,
    member::WIDEST,
};

/// The server's reply, with 404, when no process was assigned in time.
const NOTHING_TO_DO: &str = "No process available";

impl Session {
    /// Takes a process, or waits for one up to `timeout`, rounded up to whole seconds and at least one. 5 to
    /// 10 s are wise: the server misses some wake-ups, and the next call finds what it missed.
    ///
    /// **Never drop the future of this call** to stop waiting: the server may have assigned a process just
    /// then, and no one else would ever get it. Stop by not calling again. When an error
    /// [may have happened](Error::may_have_happened), look for a running process assigned to this identity.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the key is not (yet) that of an approved executor; [`Error::Paused`] when
    /// the colony's owner has paused assignments all that time; else as any call.
    pub async fn assign(&self, timeout: Duration) -> Result<Option<Process>, Error> {
        let timeout = timeout.max(Duration::from_secs(1));
        let whole = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let seconds = u32::try_from(whole).unwrap_or(u32::MAX);
        let call =
            AssignProcess { colonyname: &self.colony, timeout: seconds, availablecpu: "", availablemem: "" };
        let limit = Duration::from_secs(u64::from(seconds)) + self.client.timeouts().long_poll_margin;
        match self.client.call(&call, Some(&self.key), limit).await {
            Ok(process) => Ok(Some(process)),
            Err(Error::NotFound(reply)) if reply.message.contains(NOTHING_TO_DO) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the processes that this executor runs, however many they are. With an executor type only those that ask for it.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn running(&self, executor_type: &str) -> Result<Vec<Process>, Error> {
        let query = ProcessQuery::new(ProcessState::Running).executor_type(executor_type);
        let mut listed = self.processes(&query.map_err(Error::Field)?).await?;
        if listed.len() >= usize::from(LIST_MAX) {
            let history = self.process_history(Some(self.id()), WIDEST, ProcessState::Running).await?;
            let more: Vec<Process> =
                history.into_iter().filter(|other| listed.iter().all(|known| known.id != other.id)).collect();
            listed.extend(more);
        }
        listed.retain(|process| process.assigned_executor.as_ref() == Some(self.id()));
        Ok(listed)
    }

    /// Closes a process as successful, with its output.
    ///
    /// Closing again is no error and overwrites the output.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it was cancelled, failed or put back into the queue; [`Error::Forbidden`]
    /// when it is another executor's by now; [`Error::NotFound`] when there is none; else as any call.
    pub async fn close_successful(&self, id: &ProcessId, output: &[Value]) -> Result<(), Error> {
        self.call(&CloseSuccessful { processid: id, out: output }).await.map(|_| ())
    }

    /// Closes a process as failed, with the reasons. It will not be run again.
    ///
    /// NUL characters are replaced: the server's database cannot store them, and would keep the process as
    /// failed without any reason.
    ///
    /// # Errors
    /// As [`Session::close_successful`].
    pub async fn close_failed(&self, id: &ProcessId, reasons: &[String]) -> Result<(), Error> {
        let reasons: Vec<_> = reasons.iter().map(|reason| storable(reason)).collect();
        self.call(&CloseFailed { processid: id, errors: &reasons }).await.map(|_| ())
    }

    /// Sets the output of a process that is still running. An empty output changes nothing.
    ///
    /// # Errors
    /// As [`Session::close_successful`].
    pub async fn set_output(&self, id: &ProcessId, output: &[Value]) -> Result<(), Error> {
        self.call(&SetOutput { processid: id, out: output }).await.map(|_| ())
    }

    /// Adds a line to the log of a process that this executor is running. NUL characters are replaced.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not running; [`Error::NotFound`] when there is none; else as any call.
    pub async fn add_log(&self, id: &ProcessId, message: &str) -> Result<(), Error> {
        self.call(&AddLog { processid: id, message: &storable(message) }).await.map(|_| ())
    }

    /// Attaches a key and a value to a process that this executor is running.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the process has an attribute of that key and kind; [`Error::Conflict`] when
    /// it is not running; [`Error::Forbidden`] when it is another executor's; [`Error::NotFound`] when there is
    /// none; else as any call.
    pub async fn add_attribute(&self, attribute: &NewAttribute) -> Result<Attribute, Error> {
        self.call(&AddAttribute { attribute }).await
    }

    /// Reads an attribute. For all members.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn attribute(&self, id: &str) -> Result<Attribute, Error> {
        self.call(&GetAttribute { attributeid: id }).await
    }

    /// Gives this executor another identity; this session is then no longer valid. **A process that it is running
    /// stays with the old identity, so that it can no longer be closed**; and each such call costs the server a
    /// database connection until it is restarted. A new executor beside the old one does neither.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the key is no executor's; else as any call.
    pub async fn change_executor_id(&self, id: &Id) -> Result<(), Error> {
        self.call(&ChangeExecutorId { colonyname: &self.colony, executorid: id }).await.map(|_| ())
    }
}

/// A text that the server's database can store: PostgreSQL has no NUL in texts.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
