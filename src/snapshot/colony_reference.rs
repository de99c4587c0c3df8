//! Which colony an object uses.

use super::Observed;
use crate::api::colony::ColonySpec;

/// Which colony an object uses, or why none.
#[derive(Clone, Debug)]
pub enum ColonyReference {
    /// The object may use this colony.
    Resolved(Box<ResolvedColony>),
    /// There is no `Colony` of the name; without a name, none is marked as the default.
    NotFound {
        /// The name that the object gives.
        name: Option<String>,
    },
    /// The `Colony` does not admit the object's namespace.
    NotAllowed { name: String },
}

impl ColonyReference {
    #[must_use]
    pub const fn resolved(&self) -> Option<&ResolvedColony> {
        match self {
            Self::Resolved(colony) => Some(colony),
            Self::NotFound { .. } | Self::NotAllowed { .. } => None,
        }
    }
}

/// A colony that an object may use.
#[derive(Clone, Debug)]
pub struct ResolvedColony {
    /// Name of the `Colony` object.
    pub name: String,
    pub spec: ColonySpec,
    /// Id of the operator's own executor there; unknown while the colony is not connected, with the reason.
    pub operator_executor_id: Observed<String>,
}
