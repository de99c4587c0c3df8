//! Requests: which transitions are legal, whose turn it is, and what a request's history must say. Pure, and the same
//! for the commands that move requests along in a terminal and for controllers that do so in a cluster.
//!
//! One rule stands above all others: **nobody writes to a request, not even its status or a label, while somebody else
//! owns its next transition.** The programs of others write whole objects with the resource version that they once
//! read, and end for good at a conflict. Hence what a turn has to say is said before the turn is handed over.

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
