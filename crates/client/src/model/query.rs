//! Which processes to list.

use super::{InvalidField, ProcessState, field, function_spec::label_text};

/// The most that the server lists in one call.
pub const LIST_MAX: u8 = 100;

/// Which processes of a state. The server knows one filter at a time and silently ignores the others, so only
/// one can be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// Those for executors of this type.
    ExecutorType(String),
    /// Those submitted by the **user** of this name; the name of an executor is refused.
    Initiator(String),
    /// Those with exactly this label.
    Label(String),
}

/// Processes of one state: waiting ones by priority and age, running ones by start, final ones latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessQuery {
    pub(in super::super) state: ProcessState,
    pub(in super::super) filter: Filter,
    pub(in super::super) limit: u8,
}

impl ProcessQuery {
    /// Up to 100 processes in `state`, of all kinds.
    #[must_use]
    pub fn new(state: ProcessState) -> Self {
        Self { state, filter: Filter::All, limit: LIST_MAX }
    }

    /// Only those with exactly this label.
    ///
    /// # Errors
    /// When it is empty (which would find everything) or holds control characters.
    pub fn labelled(mut self, label: &str) -> Result<Self, InvalidField> {
        self.filter = Filter::Label(label_text(label)?);
        Ok(self)
    }

    /// Only those for executors of this type.
    ///
    /// # Errors
    /// When it is a name that no type can have.
    pub fn executor_type(mut self, executor_type: &str) -> Result<Self, InvalidField> {
        self.filter = Filter::ExecutorType(field::name("executortype", executor_type)?);
        Ok(self)
    }

    /// Only those submitted by this user.
    ///
    /// # Errors
    /// When it is a name that no user can have.
    pub fn initiator(mut self, user: &str) -> Result<Self, InvalidField> {
        self.filter = Filter::Initiator(field::name("initiator", user)?);
        Ok(self)
    }

    /// At most that many, within 1 to 100. There is no paging: what lies beyond cannot be seen.
    #[must_use]
    pub fn limit(mut self, limit: u8) -> Self {
        self.limit = limit.clamp(1, LIST_MAX);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, ProcessQuery, ProcessState};

    #[test]
    fn a_query_cannot_ask_for_what_the_server_refuses_or_misreads() {
        let query = ProcessQuery::new(ProcessState::Waiting);
        assert_eq!((query.clone().limit(0).limit, query.clone().limit(255).limit), (1, 100));
        assert!(query.clone().labelled("").is_err());
        assert!(query.clone().executor_type("a:b").is_err());
        assert_eq!(
            query.executor_type("cli").unwrap().labelled("x").unwrap().filter,
            Filter::Label("x".into())
        );
    }
}
