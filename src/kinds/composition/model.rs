//! A composition: what a definition declares, and what it is compiled to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::policy::Policies;
use crate::{
    api::resource_definition::{ComposedResource, ObjectKind},
    expression::{Condition, Template, Type},
};

/// Variable with the instance.
pub const SELF: &str = "self";
/// The same by the name that users of kro know.
pub const SCHEMA: &str = "schema";

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
    pub(super) resources: Vec<Resource>,
    pub(super) status: BTreeMap<String, Template>,
    pub(super) status_type: Type,
    pub(super) finished_when: Option<Condition>,
}

/// A resource of a definition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resource {
    pub(super) id: String,
    pub(super) kind: ObjectKind,
    /// Where its template stands.
    pub(super) field: String,
    pub(super) template: Template,
    pub(super) for_each: Vec<(String, Template)>,
    pub(super) include_when: Vec<Condition>,
    pub(super) ready_when: Vec<Condition>,
    /// Places in the order of those that it refers to.
    pub(super) depends_on: Vec<usize>,
    pub(super) policies: Policies,
}
