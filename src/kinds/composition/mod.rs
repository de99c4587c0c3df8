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
mod instance;
mod kinds;
mod order;
mod policy;
mod readiness;
mod render;
mod resources;
mod shape;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use child::DesiredChild;
pub use instance::Instance;
pub(crate) use instance::controller;
pub(super) use kinds::object_type;
pub use kinds::{Kinds, builtin_kinds_with_readiness};
pub use policy::Policies;
pub use readiness::Readiness;
pub use resources::{Desired, DesiredResource, Unreported, Wanted};
use serde_json::Value;

use crate::{
    api::{
        condition::Reason,
        policy::AdoptionPolicy,
        resource_definition::{ComposedResource, ObjectKind},
    },
    expression::{self, Condition, Template, Type},
    snapshot::Children,
};

/// Most objects of one instance.
pub const MAX_OBJECTS: usize = 1_000;
/// Most bytes of one object as JSON: a third of what etcd takes, since the API server adds to it.
pub const MAX_OBJECT_BYTES: usize = 512 << 10;
/// Most bytes of all objects of one instance as JSON.
pub const MAX_BYTES: usize = 16 << 20;
/// What rendering one instance may cost, in the unit of [`expression::BUDGET`]: about a tenth of a second.
pub const BUDGET: u64 = 5_000_000;
/// The maximum number of errors reported for one definition; the rest are counted.
pub const MAX_ERRORS: usize = 16;

/// Variable with the instance.
pub const SELF: &str = "self";
/// The same by the name that users of kro know.
pub const SCHEMA: &str = "schema";

/// Why a definition cannot be followed, or an instance not be made. The message names field, value or expression, and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompositionError {
    /// An expression is not one, speaks of what there is not, or has no value.
    #[error("{0}")]
    Expression(expression::ExpressionError),
    /// Another error.
    #[error("{0}")]
    Invalid(super::SpecError),
}

impl CompositionError {
    /// Its reason in a condition.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Expression(_) => Reason::InvalidExpression,
            Self::Invalid(_) => Reason::InvalidSpec,
        }
    }

    fn invalid(field: impl Into<String>, value: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Invalid(super::SpecError::invalid(field, value, remedy))
    }
}

/// Everything that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompositionErrors(pub Vec<CompositionError>);

impl CompositionErrors {
    /// The reason of the first in a condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.first().map_or(Reason::InvalidSpec, CompositionError::reason)
    }
}

impl std::error::Error for CompositionErrors {}

impl fmt::Display for CompositionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(MAX_ERRORS).enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        let more = self.0.len().saturating_sub(MAX_ERRORS);
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}

/// The composition that a definition declares for its instances.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// The kind of the instances.
    pub kind: &'s ObjectKind,
    /// Schema of the instances (`openAPIV3Schema`).
    pub schema: &'s Value,
    /// The templates.
    pub resources: &'s [ComposedResource],
    /// Fields of an instance's status, with expressions.
    pub status: &'s BTreeMap<String, String>,
    /// The condition under which an instance has ended.
    pub finished_when: Option<&'s str>,
}

/// A definition that can be followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Composition {
    /// Each after those that it refers to.
    resources: Vec<Resource>,
    status: BTreeMap<String, Template>,
    status_type: Type,
    finished_when: Option<Condition>,
}

/// A resource of a definition.
#[derive(Debug, Clone, PartialEq)]
struct Resource {
    id: String,
    kind: ObjectKind,
    /// Where its template stands.
    field: String,
    template: Template,
    for_each: Vec<(String, Template)>,
    include_when: Vec<Condition>,
    ready_when: Vec<Condition>,
    /// Places in the order of those that it refers to.
    depends_on: Vec<usize>,
    policies: Policies,
}

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
