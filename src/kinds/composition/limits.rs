//! The limits of compositions.

/// Most objects of one instance.
pub const MAX_OBJECTS: usize = 1_000;
/// Most bytes of one object as JSON: a third of what etcd takes, since the API server adds to it.
pub const MAX_OBJECT_BYTES: usize = 512 << 10;
/// Most bytes of all objects of one instance as JSON.
pub const MAX_BYTES: usize = 16 << 20;
/// What rendering one instance may cost, in the unit of [`expression::BUDGET`](crate::expression::BUDGET): about a tenth of a second.
pub const BUDGET: u64 = 5_000_000;
/// The maximum number of errors reported for one definition; the rest are counted.
pub const MAX_ERRORS: usize = 16;
