//! The vocabulary of conditions: types in the order in which they are shown, and reasons shared by conditions,
//! Events and metrics.

/// A condition type. The order of the variants is the order in `status.conditions`: `Ready` last, where the eye ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
pub enum ConditionType {
    /// Somebody asked for nothing to be done for the object; the other conditions say what they said before.
    Paused,
    /// The operator has the rights that it needs for the kind.
    Authorized,
    /// The API server serves the kind.
    Established,
    /// There is somebody who carries instances of the kind out.
    Handled,
    /// All objects of the kind are stored in the version with `storage`, so that any other may leave the definition.
    StorageMigrated,
    /// The current generation is carried by a process in the colony.
    Mirrored,
    /// The object and its blueprint in the colony differ, or an edit of one was replaced; the message has both values.
    Conflict,
    /// A workload, or what the instance is made of, differs, and it is left so.
    Drifted,
    /// It has been submitted to the colony.
    Submitted,
    /// An executor has it.
    Running,
    /// Something legal that bites later; the message says what to change.
    Warnings,
    /// Work towards the spec is going on.
    Progressing,
    /// The object cannot get better without somebody's help.
    Degraded,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It has ended, well or badly.
    Finished,
    /// It is as the spec wants it.
    Ready,
}

impl ConditionType {
    /// The name as it stands in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a condition is as it is: a closed set, so that users can match on it and metrics stay bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
pub enum Reason {
    /// All replicas are ready.
    AllReplicasReady,
    /// Some replicas are not ready yet.
    ReplicasNotReady,
    /// Asked to run nothing.
    Suspended,
    /// The Job ran to its end.
    JobCompleted,
    /// The Job gave up.
    JobFailed,
    /// The rollout made no progress within its deadline.
    ProgressDeadlineExceeded,
    /// Runs are created as the schedule says.
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
    /// The object was let go without its colony or its children; the message says what was left.
    Abandoned,
    /// Deletion waits for the colony to answer.
    WaitingForColony,
    /// Deletion waits for somebody else's finalizer.
    WaitingForFinalizer,
    /// The spec cannot be carried out; the message names field, value and remedy.
    InvalidSpec,
    /// An expression of the spec is not one; the message names field, expression and remedy.
    InvalidExpression,
    /// An object of that name belongs to somebody else.
    ForeignObject,
    /// A write was refused or failed.
    ApplyFailed,
    /// A read failed, so nothing was decided on it.
    ReadFailed,
    /// The runtime is carried out by a reconciler elsewhere.
    RuntimeElsewhere,
    /// No `Colony` of that name, or no default.
    ColonyNotFound,
    /// The `Colony` does not admit this namespace.
    NamespaceNotAllowed,
    /// The colony's server does not answer.
    ColonyUnavailable,
    /// The `Colony` is not usable; its own status says why.
    ColonyNotReady,
    /// The intent to submit is recorded, nothing is submitted yet.
    SubmitIntended,
    /// Nothing may be submitted until an earlier submit can no longer arrive.
    QuietPeriod,
    /// The process waits to be assigned.
    ProcessWaiting,
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
    /// Something that the spec refers to is not there; the message says what is waited for.
    SourceNotFound,
    /// It is going to be repeated after a failure.
    BackingOff,
    /// It failed as often as it was allowed to.
    BackoffLimitExceeded,
    /// It took longer than it was allowed to.
    DeadlineExceeded,
    /// A time limit of the process passed.
    TimedOut,
    /// The `RequestFlow` that a request names is not there, or cannot be followed.
    FlowUnusable,
    /// Its executor closed it as successful.
    ClosedSuccessfully,
    /// Cancelled by `spec.cancel`.
    CancelRequested,
    /// A call to the colony was refused.
    ColonyRefused,
    /// A blueprint in the colony carries it: nothing is submitted for it.
    CarriedByBlueprint,
    /// A process that was born in the colony carries it: nothing is submitted for it.
    CarriedByProcess,
    /// Fields differ from what was last written, and are left so.
    DriftDetected,
    /// Policies keep something from being done.
    LeftAlone,
    /// What is to be adopted is not there, or not known to be.
    AwaitingAdoption,
    /// The blueprint in the colony, or what an instance is made of, says the same.
    InSync,
    /// The blueprint in the colony says something else, and nobody owns the spec.
    Differs,
    /// An edit of the side that does not own the spec was replaced.
    Overruled,
    /// The blueprint of the colony cannot be carried out as it stands.
    BlueprintInvalid,
    /// A blueprint of that name in the colony belongs to somebody else.
    BlueprintNameTaken,
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
    /// Nobody wants the request any more.
    Cancelled,
    /// The worker was started anew while the job ran.
    WorkerRestarted,
    /// The job waits for a worker.
    JobRequested,
    /// A worker is at the job.
    JobStarted,
    /// The job has ended, and another follows.
    JobEnded,
    /// The operator has the rights that it needs for the group of the kind.
    RightsGranted,
    /// The operator lacks rights for the group of the kind; the message has the line that grants them.
    RightsMissing,
    /// The API server has been given the kind and does not serve it yet.
    Establishing,
    /// Another kind of the group has one of the names.
    NamesNotAccepted,
    /// The API server serves the kind.
    KindServed,
    /// There are executors that carry instances out.
    HandlerFound,
    /// There is no executor that carries instances out.
    HandlerNotFound,
    /// The colony has blueprints of the kind, so that its definition there cannot change.
    DefinitionInUse,
    /// The reconciler of the blueprint says that it is as it should be.
    BlueprintReady,
    /// The reconciler of the blueprint does not say that it is as it should be.
    BlueprintNotReady,
    /// Somebody removed the blueprint in the colony, and it is not made anew.
    BlueprintLost,
    /// Everything that the instance is made of is there and ready.
    ResourcesReady,
    /// Something that the instance is made of is not there, or not ready.
    ResourcesNotReady,
    /// Something that the instance is made of has failed.
    ResourceFailed,
    /// The definition says by `finishedWhen` that the instance has ended.
    FinishedWhenHolds,
    /// The definition has no `finishedWhen`, or it does not hold.
    NotFinished,
    /// Instances do not fit what the definition says now; the message has the line that accepts it.
    BreaksInstances,
    /// A version in which objects may be stored is not in the definition any more.
    VersionInUse,
    /// Objects are being written again, so that they are stored in another version.
    StorageMigrating,
    /// Some objects could not be written again; the message names the first.
    StorageMigrationFailed,
    /// All objects are stored in the version with `storage`.
    StoredInOneVersion,
    /// There is no endpoint where API servers could have objects converted between versions.
    ConversionUnavailable,
    /// The definition waits for its instances to be gone.
    InstancesLeft,
    /// The clean-up of a deleted instance is under way.
    CleanupRunning,
    /// The clean-up of a deleted instance failed; it is repeated.
    CleanupFailed,
}

impl Reason {
    /// The name as it stands in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
