//! From the templates of a definition to the objects that an instance of it is made of. Pure; for mode `compose`.
//!
//! ```text
//! definition ──compile──▶ Composition ──desired(instance, what is there)──▶ Desired
//! ```
//!
//! Compiling finds what can be found without an instance: expressions that are none, names that there are not,
//! circles, types that never fit. Later errors depend on the values of an instance, and appear in its conditions.

mod child;
mod compile;
mod error;
mod finished;
mod instance;
mod kinds;
mod limits;
mod model;
mod order;
mod policy;
mod readiness;
mod render;
mod resources;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use child::DesiredChild;
pub use error::{CompositionError, CompositionErrors};
pub use finished::{MUTABLE_OF_JOBS, finished_parts};
pub use instance::Instance;
pub(crate) use instance::controller;
pub(super) use kinds::object_type;
pub use kinds::{Kinds, builtin_kinds_with_readiness};
pub use limits::{BUDGET, MAX_BYTES, MAX_ERRORS, MAX_OBJECT_BYTES, MAX_OBJECTS};
use model::Resource;
pub use model::{Composition, SCHEMA, SELF, Source};
pub use policy::Policies;
pub use readiness::Readiness;
pub use resources::{Desired, DesiredResource, Unreported, Wanted};
use serde_json::Value;

use crate::{
    api::{policy::AdoptionPolicy, resource_definition::ObjectKind},
    snapshot::Children,
};

impl Composition {
    /// Compiles a definition.
    ///
    /// # Errors
    /// Everything that is wrong with it, as far as that can be known without an instance.
    pub fn compile(source: &Source<'_>, kinds: &Kinds) -> Result<Self, CompositionErrors> {
        compile::compile(source, kinds)
    }

    /// What an instance is made of now. Objects of the kinds in `kinds_with_readiness` report readiness by a
    /// condition `Ready`, once their controller has observed them.
    ///
    /// # Errors
    /// When an expression has no value for the instance, a rendered object is invalid, or a limit is exceeded. What
    /// is only not there yet is no error.
    pub fn desired(
        &self,
        instance: &Instance,
        children: &Children,
        kinds_with_readiness: &BTreeSet<ObjectKind>,
    ) -> Result<Desired, CompositionError> {
        render::render(self, instance, children, kinds_with_readiness)
    }

    /// The kinds that are made, for watches and rights.
    pub fn kinds(&self) -> impl Iterator<Item = &ObjectKind> {
        let kinds: BTreeSet<&ObjectKind> = self.resources.iter().map(|resource| &resource.kind).collect();
        kinds.into_iter()
    }

    /// The ids in the order in which their objects are made.
    pub fn order(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|resource| resource.id.as_str())
    }

    /// Whether some object is made after another, and thus goes before it.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.resources.iter().any(|resource| !resource.depends_on.is_empty())
    }

    /// Whether objects without watch events matter.
    #[must_use]
    pub fn references_foreign_objects(&self) -> bool {
        self.resources.iter().any(|resource| {
            // An instance may choose to adopt where the definition lets it.
            resource.policies.references_foreign_objects()
                || resource.policies.adoption != AdoptionPolicy::Fail
        })
    }

    /// The ids of the resources that refer to one.
    pub fn dependents(&self, id: &str) -> impl Iterator<Item = &str> {
        let place = self.resources.iter().position(|resource| resource.id == id);
        let refers =
            move |resource: &&Resource| place.is_some_and(|place| resource.depends_on.contains(&place));
        self.resources.iter().filter(refers).map(|resource| resource.id.as_str())
    }

    /// The schema of the fields that expressions give an instance's status, as far as it can be known.
    #[must_use]
    pub fn status_schema(&self) -> Value {
        self.status_type.to_schema()
    }
}
