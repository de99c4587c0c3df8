//! What should be of a `ResourceDefinition`: its CRD, where objects are converted, or nothing. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::{
    kinds::{
        SpecError,
        definition::{build, check_parts, converted_at, is_foreign, lacks_rights, redirected},
    },
    snapshot::{DefinitionSnapshot, Observed},
};

/// What should be of a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum DesiredDefinition {
    /// The CRD that there is, but with another address at which objects are converted: API servers are told before anything
    /// else, and whatever the spec says.
    Redirected(Box<CustomResourceDefinition>),
    Crd(Box<CustomResourceDefinition>),
    /// Nothing is begun that could not be brought to its end.
    Unauthorized,
    /// The spec cannot be carried out.
    Unusable(SpecError),
    /// The name is another's, who made this CRD.
    Foreign(String),
    /// It is being deleted.
    Leaving,
}

/// Computes the desired state.
#[must_use]
pub fn build_definition(snapshot: &DefinitionSnapshot) -> DesiredDefinition {
    let found = snapshot.crd.known().and_then(Option::as_ref);
    let own = found.filter(|found| !is_foreign(snapshot, found));
    if let Some(redirected) = own.and_then(|found| redirected(found, &snapshot.endpoint)) {
        return DesiredDefinition::Redirected(Box::new(redirected));
    }
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return DesiredDefinition::Leaving;
    }
    let spec = &snapshot.object.spec;
    let built = check_parts(spec, &snapshot.composes).and_then(|()| build(&snapshot.object));
    let mut desired = match built {
        Ok(desired) => desired,
        Err(error) => return DesiredDefinition::Unusable(error),
    };
    if let Observed::Known(Some(crd)) = &snapshot.crd
        && is_foreign(snapshot, crd)
    {
        return DesiredDefinition::Foreign(crd.metadata.name.clone().unwrap_or_default());
    }
    if lacks_rights(snapshot) {
        return DesiredDefinition::Unauthorized;
    }
    match converted_at(&mut desired, &snapshot.endpoint, found) {
        Ok(()) => DesiredDefinition::Crd(Box::new(desired)),
        Err(error) => DesiredDefinition::Unusable(error),
    }
}
