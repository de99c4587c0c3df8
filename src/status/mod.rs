//! Stage 5, report the outcome: from a snapshot and what came of its plan to status and Events. Pure but for
//! `publish`, the one place that writes them.

pub mod awaited;
mod blueprint;
pub mod colony;
pub mod colony_cron;
pub mod colony_process;
pub mod colony_workflow;
pub mod composition;
pub mod condition;
pub mod definition;
pub mod event;
pub mod executor_deployment;
mod finding;
mod inexact;
pub mod instance;
mod kstatus;
pub mod look;
mod mirror;
mod output;
pub mod paused;
pub mod publish;
pub mod request;
pub mod request_flow;
pub mod request_operator;
mod summary;
pub mod trace;
mod work;
pub mod work_status;
