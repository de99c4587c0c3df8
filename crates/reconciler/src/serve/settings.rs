//! How a reconciler is set up.

use std::time::Duration;

use colonyos_client::Session;

use crate::{environment::Surroundings, watch::Seat};

/// How a reconciler is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The colony's owner, who registers executors.
    pub owner: Session,
    /// Which blueprints are to be carried out.
    pub seat: Seat,
    /// What all replicas have in common.
    pub surroundings: Surroundings,
    /// How long a poll for a process lasts.
    pub poll: Duration,
    /// How often everything is read without a reason.
    pub resync: Duration,
    /// How long a process may wait for its fleet to be as it should.
    pub settle: Duration,
}
