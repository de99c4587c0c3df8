//! The values that metric labels can take.

/// A value of a metric label. Implement it for field-less enums only.
pub trait Label: Copy {
    /// The value as it stands in the exposition.
    fn label(self) -> &'static str;
}

macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every value there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl Label for $name {
            fn label(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

labels! {
    /// Kinds that are reconciled.
    Kind {
        /// A connection to a colony.
        Colony => "Colony",
        /// A schedule.
        ColonyCron => "ColonyCron",
        /// A process.
        ColonyProcess => "ColonyProcess",
        /// A workflow.
        ColonyWorkflow => "ColonyWorkflow",
        /// The jobs of requests.
        RequestFlow => "RequestFlow",
        /// A request.
        RequestState => "RequestState",
        /// A fleet of executors.
        ExecutorDeployment => "ExecutorDeployment",
        /// A kind that a user made up.
        ResourceDefinition => "ResourceDefinition",
        /// An object of such a kind.
        Instance => "Instance",
    }
}

labels! {
    /// How a reconcile ended.
    ReconcileResult {
        /// Everything is as it should be; nothing was written.
        Unchanged => "unchanged",
        /// Something was written.
        Changed => "changed",
        /// Something must happen first, elsewhere.
        Waiting => "waiting",
        /// Another replica leads, so nothing was written.
        NotLeader => "not_leader",
        /// A step failed.
        Failed => "failed",
    }
}

labels! {
    /// What a write to the API server does.
    WriteVerb {
        /// POST.
        Create => "create",
        /// Server-side apply.
        Apply => "apply",
        /// Any other PATCH.
        Patch => "patch",
        /// PUT.
        Replace => "replace",
        /// DELETE.
        Delete => "delete",
    }
}

labels! {
    /// Kinds of objects that the operator writes; subresources by themselves.
    WriteKind {
        /// A Colony's metadata.
        Colony => "Colony",
        /// A Colony's status.
        ColonyStatus => "Colony/status",
        /// A `ColonyCron`'s metadata.
        ColonyCron => "ColonyCron",
        /// A `ColonyCron`'s status.
        ColonyCronStatus => "ColonyCron/status",
        /// A `ColonyProcess`'s metadata.
        ColonyProcess => "ColonyProcess",
        /// A `ColonyProcess`'s status.
        ColonyProcessStatus => "ColonyProcess/status",
        /// A `ColonyWorkflow`'s metadata.
        ColonyWorkflow => "ColonyWorkflow",
        /// A `ColonyWorkflow`'s status.
        ColonyWorkflowStatus => "ColonyWorkflow/status",
        /// A `RequestFlow`'s metadata.
        RequestFlow => "RequestFlow",
        /// A `RequestFlow`'s status.
        RequestFlowStatus => "RequestFlow/status",
        /// A request's spec and metadata.
        RequestState => "RequestState",
        /// A request's status.
        RequestStateStatus => "RequestState/status",
        /// A `ResourceDefinition`'s metadata.
        ResourceDefinition => "ResourceDefinition",
        /// A `ResourceDefinition`'s status.
        ResourceDefinitionStatus => "ResourceDefinition/status",
        /// The CRD of a `ResourceDefinition`.
        CustomResourceDefinition => "CustomResourceDefinition",
        /// Status of such a CRD.
        CustomResourceDefinitionStatus => "CustomResourceDefinition/status",
        /// An object that an instance of a kind of a user's is made of.
        Child => "Child",
        /// Metadata of an object of a kind that a user made up.
        Instance => "Instance",
        /// Status of an object of a kind that a user made up.
        InstanceStatus => "Instance/status",
        /// An `ExecutorDeployment`'s metadata.
        ExecutorDeployment => "ExecutorDeployment",
        /// An `ExecutorDeployment`'s status.
        ExecutorDeploymentStatus => "ExecutorDeployment/status",
        /// Workload of `workload: Deployment`.
        Deployment => "Deployment",
        /// Workload of `workload: DaemonSet`.
        DaemonSet => "DaemonSet",
        /// Workload of `workload: Job`.
        Job => "Job",
        /// Identity of the executors.
        Secret => "Secret",
        /// What the executors run as.
        ServiceAccount => "ServiceAccount",
        /// What they read.
        ConfigMap => "ConfigMap",
        /// What is told to people.
        Event => "Event",
        /// Anything else.
        Other => "other",
    }
}

labels! {
    /// How a request for conversions ended.
    ConversionResult {
        /// Every object was converted.
        Converted => "converted",
        /// Some object cannot be converted, so that none was.
        Refused => "refused",
        /// Nothing is known of conversions of the kind, or of those that the API server expects.
        Unknown => "unknown",
        /// It was no request for conversions.
        Invalid => "invalid",
    }
}

labels! {
    /// How a write to the API server ended.
    Outcome {
        /// Done.
        Ok => "ok",
        /// Somebody else wrote in between, or the name is taken (409).
        Conflict => "conflict",
        /// The operator lacks the permission (401, 403).
        Forbidden => "forbidden",
        /// The object is not valid (400, 422).
        Invalid => "invalid",
        /// The object or its kind is not there (404, 410).
        NotFound => "not_found",
        /// The server asked to come back later (429).
        Throttled => "throttled",
        /// The server failed (5xx).
        ServerError => "server_error",
        /// No answer in time.
        TimedOut => "timed_out",
        /// No connection, or an answer that makes no sense.
        Transport => "transport",
    }
}

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
