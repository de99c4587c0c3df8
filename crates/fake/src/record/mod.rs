//! What the server keeps.

mod blueprint;
mod cron;
mod member;
mod process;
mod workflow;

pub(crate) use blueprint::{BlueprintStore, Document, Metadata};
pub(crate) use cron::CronRecord;
pub(crate) use member::{ExecutorRecord, UserRecord};
pub(crate) use process::{
    AttributeRecord, CANCELLED, Conditions, FAILED, LogRecord, ProcessRecord, RUNNING, SUCCESSFUL, Spec,
    WAITING, deadline,
};
pub(crate) use workflow::{GraphRecord, Workflow};
