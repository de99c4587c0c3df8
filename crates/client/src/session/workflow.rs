//! Calls about workflows and crons. For members.

use super::{
    super::{
        error::Error,
        model::{Cron, LIST_MAX, NewCron, ProcessGraph, ProcessState, WorkflowSpec},
        wire::{
            AddCron, CancelProcessGraph, GetCron, GetCrons, GetProcessGraph, GetProcessGraphs, RemoveCron,
            RemoveProcessGraph, RunCron, SubmitWorkflow,
        },
    },
    Session,
};

impl Session {
    /// Submits a workflow.
    ///
    /// **Not idempotent**, as [`Session::submit`]; and the server writes its parts one after the other, so that
    /// an error that [may have happened](Error::may_have_happened) can leave some of them.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the key is no member's (the colony's owner is none); else as any call.
    pub async fn submit_workflow(&self, spec: &WorkflowSpec) -> Result<ProcessGraph, Error> {
        self.call(&SubmitWorkflow { spec }).await
    }

    /// Reads a workflow.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn process_graph(&self, id: &str) -> Result<ProcessGraph, Error> {
        self.call(&GetProcessGraph { processgraphid: id }).await
    }

    /// Lists workflows of one state, the latest first: at most `limit`, within 1 to 100, and there is no paging.
    ///
    /// # Errors
    /// [`Error::Conflict`] while one among them was kept by half, since a client sent one that names a node which is
    /// not there: no such workflow can be read, cancelled or removed by itself. Else as any call; a list that cannot be
    /// read is an error, never empty.
    pub async fn process_graphs(&self, state: ProcessState, limit: u8) -> Result<Vec<ProcessGraph>, Error> {
        let (count, state) = (limit.clamp(1, LIST_MAX), state.number());
        Ok(self.call(&GetProcessGraphs { colonyname: &self.colony, count, state }).await?.0)
    }

    /// Cancels a workflow: its waiting and running processes, whose executors and subscribers are **not notified**.
    /// Cancelling again is no error, and one that had ended is then cancelled too.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn cancel_process_graph(&self, id: &str) -> Result<(), Error> {
        self.call(&CancelProcessGraph { processgraphid: id }).await.map(|_| ())
    }

    /// Removes a workflow that is not running, with its processes.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is running; [`Error::NotFound`] when there is none; else as any call.
    pub async fn remove_process_graph(&self, id: &str) -> Result<(), Error> {
        self.call(&RemoveProcessGraph { processgraphid: id }).await.map(|_| ())
    }

    /// Adds a cron.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the colony has a cron of that name; [`Error::Invalid`] when the server
    /// cannot read its expression; else as any call.
    pub async fn add_cron(&self, cron: &NewCron) -> Result<Cron, Error> {
        self.call(&AddCron { cron }).await
    }

    /// Reads a cron.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn cron(&self, id: &str) -> Result<Cron, Error> {
        self.call(&GetCron { cronid: id }).await
    }

    /// Lists crons of the colony, at most `limit`, in no order.
    ///
    /// # Errors
    /// As any call. A list that cannot be read is an error, never empty.
    pub async fn crons(&self, limit: u32) -> Result<Vec<Cron>, Error> {
        Ok(self.call(&GetCrons { colonyname: &self.colony, count: limit }).await?.0)
    }

    /// Runs a cron now, unless it waits for the workflow before. The answer shows it **as it was before that**:
    /// read it again for the workflow that was submitted.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Forbidden`] when the key is no member's, **but it has
    /// run all the same**; else as any call.
    pub async fn run_cron(&self, id: &str) -> Result<Cron, Error> {
        self.call(&RunCron { cronid: id }).await
    }

    /// Removes a cron. The workflows that it submitted stay.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; else as any call.
    pub async fn remove_cron(&self, id: &str) -> Result<(), Error> {
        self.call(&RemoveCron { cronid: id }).await.map(|_| ())
    }
}
