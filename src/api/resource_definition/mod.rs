//! `ResourceDefinition`: a user-defined kind, and the handler of its instances.
//!
//! In a colony the same thing is called a `BlueprintDefinition`.

mod blueprint;
mod compose;
mod conversion;
mod handler;
mod migration;
mod spec;
mod status;

pub use blueprint::{BlueprintTerms, Untranslatable};
pub use compose::{ComposedResource, MAX_FOR_EACH, MAX_RESOURCES, ObjectKind};
pub use conversion::{FieldMove, MAX_CONVERTED, MAX_MOVES, VersionConversion};
pub use handler::{Handler, HandlerMode};
pub use migration::{
    BrokenInstance, NAMED_INSTANCES, NextOfMigration, SeenObject, StorageMigration, StoredObject,
    next_of_migration, stored_version, versions_left,
};
pub use spec::{
    DefinitionNames, DefinitionScope, DefinitionVersion, PrinterColumn, ResourceDefinition,
    ResourceDefinitionSpec, Scale, VersionSchema,
};
pub use status::{
    Impact, InstanceCounts, MOST_COMPOSED, REVISION_HISTORY_LIMIT, ResourceDefinitionStatus, ResourceName,
    Revision,
};
