//! Whose instances are looked after. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::handler_state;
use crate::{
    api::{instance::InstanceKind, policy::DeletionPolicy},
    kinds::{
        SpecError,
        definition::{is_established, is_foreign, kind_of, lacks_rights},
    },
    snapshot::{DefinitionSnapshot, HandlerState, Observed},
};

/// What becomes of the controller of a kind's instances.
#[derive(Clone, Debug, PartialEq)]
pub enum Serving {
    /// It goes on as before.
    AsBefore,
    /// It ends.
    Stopped,
    /// It runs.
    Runs {
        /// The kind, with its handler.
        kind: InstanceKind,
        /// Whether a colony handles blueprints of the kind so; none if it cannot be asked, or need not be.
        handler_state: Option<HandlerState>,
    },
}

/// Decides who looks after the instances of a definition: the handler in the CRD, while the API server serves the kind.
/// `updated` is the CRD as the pass has written it.
///
/// # Errors
///
/// When the CRD does not say by whom; the next write of it puts that right.
pub fn serving(
    snapshot: &DefinitionSnapshot,
    updated: Option<&CustomResourceDefinition>,
) -> Result<Serving, SpecError> {
    let crd = match &snapshot.crd {
        _ if updated.is_some() => updated,
        // What cannot be read may well be served.
        Observed::Unknown(_) if !lacks_rights(snapshot) => return Ok(Serving::AsBefore),
        Observed::Unknown(_) => None,
        Observed::Known(crd) => crd.as_ref(),
    };
    let Some(served) = crd.filter(|crd| is_established(crd) && !is_foreign(snapshot, crd)) else {
        return Ok(Serving::Stopped);
    };
    let is_leaving = snapshot.object.metadata.deletion_timestamp.is_some();
    let is_released = is_leaving && snapshot.object.spec.deletion_policy == DeletionPolicy::Orphan;
    let kind = kind_of(served, is_released)?;
    let handler_state = handler_state(snapshot, kind.handler());
    Ok(Serving::Runs { kind, handler_state })
}
