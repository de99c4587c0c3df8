//! The vocabulary of conditions: types in the order in which they are shown, and reasons shared by conditions,
//! Events and metrics.

/// A condition type. The order of the variants is the order in `status.conditions`: `Ready` last, where the eye ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
pub enum ConditionType {
    /// A user paused the object; its other conditions keep their previous values.
    Paused,
    /// The operator has the permissions that it needs for the kind.
    Authorized,
    /// The API server serves the kind.
    Established,
    /// Executors that handle instances of the kind exist.
    Handled,
    /// All objects of the kind are stored in the version with `storage`, so that any other may leave the definition.
    StorageMigrated,
    /// A process in the colony mirrors the current generation.
    Mirrored,
    /// The object and its blueprint in the colony differ, or an edit of one was replaced; the message has both values.
    Conflict,
    /// A workload, or an object of the instance, differs from the spec and is not corrected.
    Drifted,
    /// It has been submitted to the colony.
    Submitted,
    /// It is assigned to an executor.
    Running,
    /// The spec is valid but likely to cause problems; the message tells what to change.
    Warnings,
    /// Work towards the spec is going on.
    Progressing,
    /// The object cannot recover without intervention.
    Degraded,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It has finished, whether it succeeded or failed.
    Finished,
    /// Work on it is going on: for tools that know no other conditions. Present only while it holds, where there is no `Ready`.
    Reconciling,
    /// It has failed, or its spec must change: for tools that know no other conditions. Present only while it holds.
    Stalled,
    /// It matches the spec.
    Ready,
}

impl ConditionType {
    /// The name in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What kstatus reads in place of the conditions of a kind.
pub const FOR_TOOLS: [ConditionType; 2] = [ConditionType::Reconciling, ConditionType::Stalled];

/// Why a condition is as it is: a closed set, so that users can match on it and metrics stay bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
pub enum Reason {
    /// All replicas are ready.
    AllReplicasReady,
    /// Some replicas are not ready yet.
    ReplicasNotReady,
    /// The queue has not admitted the pods yet.
    Queued,
    /// The spec requests zero replicas.
    Suspended,
    /// The Job completed.
    JobCompleted,
    /// The Job failed.
    JobFailed,
    /// The rollout made no progress within its deadline.
    ProgressDeadlineExceeded,
    /// Admission policies are missing without which users borrow the operator's rights.
    PoliciesMissing,
    /// The API server refuses pods of the workload.
    PodsRefused,
    /// The image of a pod cannot be pulled.
    ImageNotPulled,
    /// API servers did not ask the operator for a name for the executor of a pod.
    ExecutorNotNamed,
    /// A Secret or `ConfigMap` of a pod, or a key of it, is missing.
    ConfigurationMissing,
    /// A container used more memory than its limit.
    OutOfMemory,
    /// A container ends although it is to run.
    ContainerFails,
    /// A container cannot be created or started.
    ContainerNotCreated,
    /// A volume of a pod cannot be mounted.
    VolumeNotMounted,
    /// No node takes a pod.
    PodUnschedulable,
    /// A node ended a pod.
    PodEvicted,
    /// Runs are created on schedule.
    Scheduled,
    /// The schedule or its time zone cannot be read.
    InvalidSchedule,
    /// A run was created.
    RunCreated,
    /// It was time for a run while one before it had not finished.
    RunActive,
    /// A run was not created within `startingDeadlineSeconds`.
    RunMissed,
    /// More than 100 runs were missed.
    TooManyMissedRuns,
    /// An annotation asks for nothing to be written but status.
    ReconcilePaused,
    /// Nothing left to do.
    Reconciled,
    /// The object is being deleted.
    Deleting,
    /// The finalizer was removed without cleaning up the colony or the children; the message lists what remains.
    Abandoned,
    /// Deletion waits for the colony to answer.
    WaitingForColony,
    /// Deletion waits for the finalizer of another controller.
    WaitingForFinalizer,
    /// The spec is invalid; the message names field, value and remedy.
    InvalidSpec,
    /// An expression of the spec is invalid; the message names field, expression and remedy.
    InvalidExpression,
    /// An object of that name belongs to another owner.
    ForeignObject,
    /// A write was refused or failed.
    ApplyFailed,
    /// A read failed, so nothing was decided on it.
    ReadFailed,
    /// Another reconciler handles the runtime.
    RuntimeElsewhere,
    /// No reconciler serves the runtime at its location; the message has the command that starts one.
    RuntimeNotServed,
    /// The runtime does not carry out fields of the spec; the message names them.
    FieldsNotCarriedOut,
    /// No `Colony` of that name, or no default.
    ColonyNotFound,
    /// The `Colony` does not admit this namespace.
    NamespaceNotAllowed,
    /// The executor type belongs to other namespaces in the colony.
    ExecutorTypeNotAllowed,
    /// The colony's server does not answer.
    ColonyUnavailable,
    /// The `Colony` is not usable; see its status.
    ColonyNotReady,
    /// The `Colony` of an object leads to another colony than the one in which the object is.
    ColonyChanged,
    /// Objects are in the colony, so that the deleted `Colony` stays.
    ColonyInUse,
    /// Another `Colony` is the default already.
    DefaultTaken,
    /// The colony has forgotten the operator: it was emptied, or is another.
    ColonyReset,
    /// The intent to submit is recorded, nothing is submitted yet.
    SubmitIntended,
    /// Nothing may be submitted until an earlier submit can no longer arrive.
    QuietPeriod,
    /// The colony had another process of the object, and it is cancelled. Of Events alone.
    DuplicateProcess,
    /// The colony had a process whose object is gone, and it is cancelled. Of Events alone.
    OrphanedProcess,
    /// The colony had an executor whose object and Secret are gone, and it is removed. Of Events alone.
    OrphanedExecutor,
    /// Pods that are to go end what they run first. Of Events alone.
    Draining,
    /// No pod that is to go runs anything any more. Of Events alone.
    Drained,
    /// Another operator of a cluster of this name serves the colony: nothing is ended for the lack of an object.
    AnotherInstallation,
    /// The process waits to be assigned.
    ProcessWaiting,
    /// The process has waited for half a minute, and no executor that fits is registered; the message says which there are.
    NoExecutor,
    /// Nothing can take the process as things stand, which may pass; half a minute later, the reason says what is missing.
    ExecutorAwaited,
    /// Every executor that fits runs another process; the message says since when.
    ExecutorsBusy,
    /// All executors of the type wait for the owner of the colony to approve them, for half a minute.
    ExecutorsNotApproved,
    /// The owner of the colony has paused assignments, for half a minute.
    AssignmentsPaused,
    /// It asks for more nodes than any executor that fits registers; the colony assigns it all the same.
    TooManyNodes,
    /// A whole number of a call is beyond 2^53, and the colony rounds it.
    IntegerInexact,
    /// The process is assigned.
    ProcessRunning,
    /// The process was closed as successful.
    ProcessSuccessful,
    /// The process was closed as failed.
    ProcessFailed,
    /// The process was cancelled.
    ProcessCancelled,
    /// The process is no longer on the server.
    ProcessLost,
    /// The server kept only a part of the workflow. It is not submitted again: that part may have run.
    WorkflowIncomplete,
    /// Something that the spec refers to is not there; the message names what it waits for.
    SourceNotFound,
    /// It will be retried after a failure.
    BackingOff,
    /// It reached its retry limit.
    BackoffLimitExceeded,
    /// It exceeded its deadline.
    DeadlineExceeded,
    /// A time limit of the process passed.
    TimedOut,
    /// The `RequestFlow` of a request does not exist or is invalid.
    FlowUnusable,
    /// Its executor closed it as successful.
    ClosedSuccessfully,
    /// Cancelled by `spec.cancel`.
    CancelRequested,
    /// A call to the colony was refused.
    ColonyRefused,
    /// It is mirrored as a blueprint in the colony: nothing is submitted for it.
    CarriedByBlueprint,
    /// It belongs to a process that originates in the colony: nothing is submitted for it.
    CarriedByProcess,
    /// Fields differ from what was last written, and are not corrected.
    DriftDetected,
    /// The API server answered a write with other values, by admission, and they are not written again.
    ChangedOnAdmission,
    /// A policy withholds an action.
    LeftAlone,
    /// The object to adopt does not exist, or cannot be read.
    AwaitingAdoption,
    /// The blueprint in the colony, or the objects that an instance is composed of, match the spec.
    InSync,
    /// The blueprint in the colony differs, and neither side owns the spec.
    Differs,
    /// An edit of the side that does not own the spec was replaced.
    Overruled,
    /// The blueprint of the colony is invalid.
    BlueprintInvalid,
    /// A blueprint of that name in the colony belongs to another owner.
    BlueprintNameTaken,
    /// Blueprints at the location of the cluster get no object; the message has names, reasons and remedies.
    BlueprintRefused,
    /// The object was restored from a backup, and what was submitted for it before is not submitted again.
    Restored,
    /// A root of a workflow that the server loses would not be given to an executor again.
    RootNotRetried,
    /// Two executor types differ only by digits at their end.
    SimilarExecutorType,
    /// The colony's server answers as a member.
    Connected,
    /// The credentials Secret is missing.
    CredentialsNotFound,
    /// The credentials Secret holds no usable key.
    CredentialsInvalid,
    /// The server refused the key.
    CredentialsRefused,
    /// Every job of a request's flow was done.
    FlowCompleted,
    /// The request is obsolete.
    Cancelled,
    /// The worker was restarted while the job ran.
    WorkerRestarted,
    /// The job waits for a worker.
    JobRequested,
    /// A worker runs the job.
    JobStarted,
    /// The job has ended, and another follows.
    JobEnded,
    /// The operator has the permissions that it needs for the group of the kind.
    RightsGranted,
    /// The operator lacks permissions for the group of the kind; the message has the command that grants them.
    RightsMissing,
    /// The CRD exists, and the API server does not serve the kind yet.
    Establishing,
    /// Another kind of the group has one of the names.
    NamesNotAccepted,
    /// The API server serves the kind.
    KindServed,
    /// Executors that handle instances exist.
    HandlerFound,
    /// No executor handles instances.
    HandlerNotFound,
    /// The colony has blueprints of the kind, so that its definition there cannot change.
    DefinitionInUse,
    /// The reconciler of the blueprint reports that it is ready.
    BlueprintReady,
    /// The reconciler of the blueprint does not report that it is ready.
    BlueprintNotReady,
    /// No executor of the handler's type is there to reconcile the blueprint; the message says which there are.
    NoReconciler,
    /// The blueprint was removed in the colony and is not created again.
    BlueprintLost,
    /// All objects of the instance exist and are ready.
    ResourcesReady,
    /// An object of the instance does not exist or is not ready.
    ResourcesNotReady,
    /// An object of the instance failed.
    ResourceFailed,
    /// `finishedWhen` of the definition holds: the instance has ended.
    FinishedWhenHolds,
    /// The definition has no `finishedWhen`, or it does not hold.
    NotFinished,
    /// Instances do not match the current definition; the message has the command that accepts it.
    BreaksInstances,
    /// The definition no longer has a version in which objects may be stored.
    VersionInUse,
    /// Objects are being rewritten to be stored in another version.
    StorageMigrating,
    /// Some objects could not be rewritten; the message names the first.
    StorageMigrationFailed,
    /// All objects are stored in the version with `storage`.
    StoredInOneVersion,
    /// The conversion endpoint is not available to API servers.
    ConversionUnavailable,
    /// The definition waits for its instances to be gone.
    InstancesLeft,
    /// The cleanup of a deleted instance is in progress.
    CleanupRunning,
    /// The cleanup of a deleted instance failed; it is retried.
    CleanupFailed,
}

impl Reason {
    /// The name in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether waiting does not help, and neither does any other object: the spec must change, or it has failed.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::InvalidSpec
                | Self::InvalidExpression
                | Self::InvalidSchedule
                | Self::ForeignObject
                | Self::ExecutorTypeNotAllowed
                | Self::BlueprintInvalid
                | Self::BlueprintNameTaken
                | Self::BlueprintLost
                | Self::DefinitionInUse
                | Self::NamesNotAccepted
                | Self::BreaksInstances
                | Self::VersionInUse
                | Self::CredentialsInvalid
                | Self::CredentialsRefused
                | Self::ColonyReset
                | Self::Restored
                | Self::PodsRefused
                | Self::ImageNotPulled
                | Self::OutOfMemory
                | Self::ContainerNotCreated
                | Self::ProgressDeadlineExceeded
                | Self::JobFailed
                | Self::ResourceFailed
                | Self::ProcessFailed
                | Self::ProcessCancelled
                | Self::ProcessLost
                | Self::WorkflowIncomplete
                | Self::BackoffLimitExceeded
                | Self::DeadlineExceeded
                | Self::TimedOut
        )
    }
}
