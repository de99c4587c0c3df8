//! Requests: which transitions are legal, whose turn it is, and what a request's history must contain. Pure, and the
//! same for the commands that move requests along in a terminal and for controllers that do so in a cluster.
//!
//! One rule stands above all others: **a party writes to a request, including its status and labels, only while it
//! owns the next transition.** Other programs write whole objects with the resource version that they once read, and
//! exit at a conflict. So everything about a turn is recorded before the turn is handed over.

mod claim;
mod director;
mod flow;
mod history;
mod moment;
mod next;
pub mod plan;
mod transition;
mod turn;
mod worker;

pub use claim::{Claim, Holder};
pub use director::{DirectorStep, direct};
pub use flow::{Flow, InvalidFlow, lists_jobs};
pub use history::{History, HistoryEvidence, LONGEST, complete};
pub use moment::Moment;
pub use next::{Next, next};
pub use transition::{Illegal, check};

pub use crate::api::request_state::{Position, PositionRecord};
pub use turn::{Turn, turn};
pub use worker::{Ending, InterruptedJob, WorkerStep, WorkerView, work};
