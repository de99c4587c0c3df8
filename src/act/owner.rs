//! Whose objects are written.

/// Whose objects are written.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    /// Namespace of the instance.
    pub namespace: &'a str,
    /// UID of the instance.
    pub uid: &'a str,
}
