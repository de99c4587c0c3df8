//! What was read, or why it could not be.

/// Something that was looked for. Unknown is not empty: nothing is created or deleted on the strength of a read that
/// failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed<T> {
    /// The read succeeded.
    Known(T),
    /// The read failed or was not possible; why, for a person.
    Unknown(String),
}

impl<T> Observed<T> {
    /// The value, if it is known.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known, if it is not.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }
}
