//! The values that metric labels can take.

use strum::{IntoStaticStr, VariantArray};

pub use crate::api::kind::Kind;

/// A value of a metric label. Implement it for types with few values only.
pub trait Label: Copy + Into<&'static str> {
    /// The value as it stands in the exposition.
    fn label(self) -> &'static str {
        self.into()
    }
}

impl Label for Kind {
    fn label(self) -> &'static str {
        self.info().name
    }
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ReconcileResult {
    /// Everything is as it should be; nothing was written.
    Unchanged,
    /// Something was written.
    Changed,
    /// Something must happen first, elsewhere.
    Waiting,
    /// Another replica leads, so nothing was written.
    NotLeader,
    /// A step failed.
    Failed,
    /// It was dropped half-way: its controller was stopped.
    Dropped,
}

impl Label for ReconcileResult {}

/// What was found in a colony that no object wants, and taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Collected {
    /// A second process of an object.
    DuplicateProcess,
    /// A process whose object is gone.
    OrphanedProcess,
    /// An executor whose object and Secret are gone.
    OrphanedExecutor,
}

impl Label for Collected {}

/// How an object fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ObjectState {
    /// It is as its spec says.
    Ready,
    /// It is not yet, or no longer.
    NotReady,
    /// Nothing is done for it.
    Paused,
    /// It is to go, and something holds it.
    Deleting,
    /// Its process waits.
    Waiting,
    /// Its process runs.
    Running,
    /// Its process succeeded.
    Succeeded,
    /// Its process failed.
    Failed,
    /// Its process has ended otherwise.
    Finished,
    /// It cannot be read.
    Unreadable,
}

impl Label for ObjectState {}

/// What a write to the API server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum WriteVerb {
    /// POST.
    Create,
    /// Server-side apply.
    Apply,
    /// Any other PATCH.
    Patch,
    /// PUT.
    Replace,
    Delete,
}

impl Label for WriteVerb {}

/// Kinds of objects that the operator writes; subresources by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum WriteKind {
    /// Spec and metadata of an object of a kind of the operator.
    Object(Kind),
    Status(Kind),
    /// The CRD of a `ResourceDefinition`.
    CustomResourceDefinition,
    /// Status of such a CRD.
    #[strum(serialize = "CustomResourceDefinition/status")]
    CustomResourceDefinitionStatus,
    /// An object that an instance of a kind that users define is made of.
    Child,
    /// Workload of `workload: Deployment`.
    Deployment,
    /// Workload of `workload: DaemonSet`.
    DaemonSet,
    /// Workload of `workload: Job`.
    Job,
    /// The configuration of the webhook for pods.
    MutatingWebhookConfiguration,
    /// Executor with an identity of its own.
    Pod,
    /// Budget of the busy pods of a fleet.
    PodDisruptionBudget,
    /// Identity of the executors.
    Secret,
    /// Events.
    Event,
}

impl Label for WriteKind {
    fn label(self) -> &'static str {
        match self {
            Self::Object(kind) => kind.info().name,
            Self::Status(kind) => kind.info().status,
            named => named.into(),
        }
    }
}

/// How a request for conversions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ConversionResult {
    /// Every object was converted.
    Converted,
    /// Some object cannot be converted, so that none was.
    Refused,
    /// Nothing is known of conversions of the kind, or of those that the API server expects.
    Unknown,
    /// It was no request for conversions.
    Invalid,
}

impl Label for ConversionResult {}

/// What became of spans of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SpanResult {
    /// The collector took them.
    Sent,
    /// The collector did not, or too many waited.
    Dropped,
}

impl Label for SpanResult {}

/// How a write to the API server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Ok,
    /// Another client wrote in between, or the name exists (409).
    Conflict,
    /// The operator lacks the permission (401, 403).
    Forbidden,
    /// The object is not valid (400, 422).
    Invalid,
    /// The object or its kind is not there (404, 410).
    NotFound,
    /// The server asked to come back later (429).
    Throttled,
    /// The server failed (5xx).
    ServerError,
    /// No answer in time.
    TimedOut,
    /// No connection, or an answer that makes no sense.
    Transport,
}

impl Label for Outcome {}

impl Outcome {
    /// The outcome behind an HTTP status code of the API server.
    #[must_use]
    pub fn of_status(code: u16) -> Self {
        match code {
            200..=299 => Self::Ok,
            409 => Self::Conflict,
            401 | 403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            429 => Self::Throttled,
            408 | 504 => Self::TimedOut,
            400..=499 => Self::Invalid,
            500..=599 => Self::ServerError,
            _ => Self::Transport,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_from_its_object() {
        assert_eq!(WriteKind::Object(Kind::ColonyCron).label(), "ColonyCron");
        assert_eq!(WriteKind::Object(Kind::Instance).label(), "Instance");
        assert_eq!(WriteKind::Status(Kind::ColonyCron).label(), "ColonyCron/status");
        assert_eq!(WriteKind::CustomResourceDefinitionStatus.label(), "CustomResourceDefinition/status");
        assert_eq!(ReconcileResult::NotLeader.label(), "not_leader");
    }

    #[test]
    fn status_codes_have_the_outcome_a_person_would_look_for() {
        let cases = [
            (201, Outcome::Ok),
            (409, Outcome::Conflict),
            (403, Outcome::Forbidden),
            (422, Outcome::Invalid),
            (404, Outcome::NotFound),
            (410, Outcome::NotFound),
            (429, Outcome::Throttled),
            (500, Outcome::ServerError),
            (504, Outcome::TimedOut),
            (0, Outcome::Transport),
        ];
        for (code, expected) in cases {
            assert_eq!(Outcome::of_status(code), expected, "status {code}");
        }
    }
}
