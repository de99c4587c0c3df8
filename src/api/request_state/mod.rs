//! `RequestState`: a piece of work as a custom resource. Several programs move it along by writing its spec; whose turn
//! it is follows from the state.

mod position;
mod spec;
mod status;

pub use position::{Position, PositionRecord};
pub use spec::{RequestState, RequestStateSpec, State};
pub use status::{HistoryEntry, JobStatus, RequestStateStatus};
