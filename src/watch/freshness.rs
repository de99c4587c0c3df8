//! Whether what a pass would stand on is known.

/// What a pass would stand on is not known yet: the cache does not show the last write, or the colony was not asked since the
/// operator began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheBehind;
