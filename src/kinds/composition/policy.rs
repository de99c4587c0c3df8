//! What may be done about the objects of a resource, and which of their fields are left to others.

use std::str::FromStr as _;

use super::{CompositionError, Instance};
use crate::{
    api::{
        names::ADOPTION_ANNOTATION,
        policy::{AdoptionPolicy, DriftPolicy, ManagementPolicy},
        resource_definition::ComposedResource,
    },
    kinds::FieldPath,
};

/// What may be done about the objects of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// What becomes of one that has no controller.
    pub adoption: AdoptionPolicy,
    /// What becomes of fields that others have changed.
    pub drift: DriftPolicy,
    /// Fields that are left to others.
    pub ignored: Vec<FieldPath>,
    pub may_create: bool,
    /// Whether they may be changed.
    pub may_update: bool,
    pub may_delete: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            adoption: AdoptionPolicy::default(),
            drift: DriftPolicy::default(),
            ignored: Vec::new(),
            may_create: true,
            may_update: true,
            may_delete: true,
        }
    }
}

impl Policies {
    /// Reads the policies of a resource that stands at `field`.
    pub(super) fn compile(
        field: &str,
        resource: &ComposedResource,
        errors: &mut Vec<CompositionError>,
    ) -> Self {
        let drift = resource.drift.clone().unwrap_or_default();
        let mut ignored = Vec::new();
        for (index, text) in drift.ignore_fields.iter().enumerate() {
            match FieldPath::parse(text) {
                Ok(path) => ignored.push(path),
                Err(remedy) => {
                    errors.push(CompositionError::invalid(
                        format!("{field}.drift.ignoreFields[{index}]"),
                        text,
                        remedy,
                    ));
                }
            }
        }
        Self {
            adoption: resource.adoption_policy,
            drift: drift.policy,
            ignored,
            may_create: resource.management_policies.allow(ManagementPolicy::Create),
            may_update: resource.management_policies.allow(ManagementPolicy::Update),
            may_delete: resource.management_policies.allow(ManagementPolicy::Delete),
        }
    }

    /// The policies of an instance, which may override how its objects are adopted, if adoption is allowed at all.
    pub(super) fn of(&self, instance: &Instance) -> Result<Self, CompositionError> {
        let annotations = instance.value.pointer("/metadata/annotations");
        let Some(said) = annotations.and_then(|all| all.get(ADOPTION_ANNOTATION)?.as_str()) else {
            return Ok(self.clone());
        };
        let adoption = AdoptionPolicy::from_str(said).map_err(|_| {
            let field = format!("metadata.annotations['{ADOPTION_ANNOTATION}']");
            CompositionError::invalid(field, said, "write fail, adopt or adopt-or-create, or remove it")
        })?;
        let is_open = self.adoption != AdoptionPolicy::Fail;
        Ok(if is_open { Self { adoption, ..self.clone() } } else { self.clone() })
    }

    /// Whether the objects are only observed, whatever their owner.
    #[must_use]
    pub const fn only_observes(&self) -> bool {
        !self.may_create && !self.may_update && !self.may_delete
    }

    /// Whether objects without watch events matter: no watch shows those that are not the instance's.
    #[must_use]
    pub fn references_foreign_objects(&self) -> bool {
        self.only_observes() || self.adoption == AdoptionPolicy::Adopt
    }

    /// Whether drifted fields may stay, and are reported.
    #[must_use]
    pub fn may_leave_drift(&self) -> bool {
        self.drift == DriftPolicy::DetectOnly || !self.may_update
    }
}
