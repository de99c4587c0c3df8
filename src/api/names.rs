//! Every name, label, annotation, finalizer and field manager that reaches a cluster or a colony.

/// API group of connections and of work.
pub const COLONIES_GROUP: &str = "colonies.io";
/// API group of executor fleets, fixed by the manifests that `ColonyOS` users have.
pub const COMPUTE_GROUP: &str = "compute.colonies.io";
/// API group of requests, fixed by the manifests and programs that users have.
pub const REQUEST_GROUP: &str = "com.redhat.ecosystem.sample";
/// API version of all kinds of all groups.
pub const VERSION: &str = "v1";

/// The generation that a status names until the operator has looked at the object; the schemas have it for a default.
pub const NEVER_OBSERVED: i64 = -1;

/// Who writes: user agent, field manager, reporting controller of Events, value of `managed-by`.
pub const OPERATOR: &str = "colonyos-operator";
/// Kept on a `Colony` that was connected until nothing of this cluster is in the colony.
pub const COLONY_FINALIZER: &str = "colonies.io/colony";
/// Kept on an `ExecutorDeployment` until its pods have gone and its executor has left the colony.
pub const EXECUTOR_DEPLOYMENT_FINALIZER: &str = "compute.colonies.io/executor-deployment";
/// Kept on a `ColonyProcess` until its process is over.
pub const COLONY_PROCESS_FINALIZER: &str = "colonies.io/colony-process";
/// Kept on a `ColonyWorkflow` until its workflow is over.
pub const COLONY_WORKFLOW_FINALIZER: &str = "colonies.io/colony-workflow";
/// Kept on a `RequestState` until the process of its job is over.
pub const REQUEST_FINALIZER: &str = "colonies.io/request";
/// Kept on a `ResourceDefinition` until none of its instances is left.
pub const RESOURCE_DEFINITION_FINALIZER: &str = "colonies.io/resource-definition";
/// Kept on an instance of a defined kind until its process is over and its clean-up has run.
pub const INSTANCE_FINALIZER: &str = "colonies.io/instance";
/// Kept by the garbage collector on an object that is deleted in the foreground, until its children are gone.
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";

/// Set by the garbage collector on an object whose children are orphaned, until their owner references are removed.
pub const ORPHAN_FINALIZER: &str = "orphan";

/// On a namespace: what it accepts from the members of a colony. Absent, or any other value: what needs nothing of it.
pub const INBOUND_LABEL: &str = "colonies.io/inbound";
/// Value of the label: whatever a user of the namespace could request.
pub const INBOUND_PRIVILEGED: &str = "privileged";
/// Marks the `Colony` that is used where an object names none.
pub const DEFAULT_COLONY_ANNOTATION: &str = "colonies.io/default";
/// The remedy when a colony is permanently gone: with `true`, deletion leaves the remote side unchanged and records
/// an Event.
pub const ABANDON_ANNOTATION: &str = "colonies.io/abandon-remote";

/// On an object whose work is submitted: as what, by its cluster, UID, namespace and name. A copy that is restored from a backup has
/// another UID and no status, and is told by it which processes were submitted for it before.
pub const SUBMITTED_AS_ANNOTATION: &str = "colonies.io/submitted-as";

/// On a `Colony` whose colony has forgotten the operator: what condition `Ready` says, to register the operator anew and have
/// what is missing there count as gone.
pub const ACCEPT_RESET_ANNOTATION: &str = "colonies.io/accept-reset";

/// On an object of any reconciled kind: with `true`, nothing is written for it but its status.
pub const PAUSED_ANNOTATION: &str = "colonies.io/paused";
/// On an object of any reconciled kind: whatever is new in it brings a pass at once, in which the colony is asked.
pub const RECONCILE_ANNOTATION: &str = "colonies.io/reconcile-at";

/// The origin of an object that was not applied with kubectl: `blueprint` or `process`. For `kubectl get -l`.
pub const ORIGIN_LABEL: &str = "colonies.io/origin";
/// Value of the origin label: a blueprint in the colony.
pub const ORIGIN_BLUEPRINT: &str = "blueprint";
/// Value of the origin label: a process that the colony gave to the operator.
pub const ORIGIN_PROCESS: &str = "process";
/// On an object: the blueprint in its colony that mirrors it.
pub const BLUEPRINT_ANNOTATION: &str = "colonies.io/blueprint";
/// On an object that originates from a process: the process's id.
pub const PROCESS_ANNOTATION: &str = "colonies.io/process";
/// On an object that originates from a process: hash of the spec that the process asked for.
pub const PROCESS_SPEC_ANNOTATION: &str = "colonies.io/process-spec";
/// On an object that originates from a process: when the process was submitted. An older one cannot take the object
/// back.
pub const PROCESS_TIME_ANNOTATION: &str = "colonies.io/process-submitted";
/// On an object and its pods: the process that requested a restart of its executors.
pub const RESTART_ANNOTATION: &str = "colonies.io/restarted-for";
/// On a blueprint: the object of a cluster that it was made for, as `k8s:<cluster>/<uid>`. A blueprint that was
/// created in the colony may lack it.
pub const BLUEPRINT_ORIGIN_ANNOTATION: &str = "colonies.io/origin";
/// On a blueprint, as label or annotation: the namespace in which the cluster is to keep its object.
pub const BLUEPRINT_NAMESPACE_ANNOTATION: &str = "colonies.io/namespace";
/// On a request: `Resubmit` has its job done again after it was restored from a backup.
pub const RESTORE_ANNOTATION: &str = "colonies.io/restore-policy";
/// Hash of the spec that the operator wrote last, to an object from its blueprint or the other way: a side that still has it
/// was not edited, whatever status knows of the write.
pub const WRITTEN_SPEC_ANNOTATION: &str = "colonies.io/written-spec";

/// On a run of a `ColonyCron`: the name of the `ColonyCron`.
pub const CRON_LABEL: &str = "colonies.io/cron";
/// On a run of a `ColonyCron`: the time that it is for.
pub const SCHEDULED_AT_ANNOTATION: &str = "colonies.io/scheduled-at";

/// On a run of a `ColonyCron` that is not for a time of its schedule: what asked for it.
pub const TRIGGER_ANNOTATION: &str = "colonies.io/trigger";
/// Value of the annotation: a user, by a command.
pub const TRIGGER_BY_COMMAND: &str = "command";
/// On an object that runs again what another has run: the name of that one.
pub const RERUN_ANNOTATION: &str = "colonies.io/rerun-of";

/// On a `RequestState` whose job is `STARTED`: which worker has it, as JSON.
pub const CLAIM_ANNOTATION: &str = "colonies.io/claim";
/// On a `RequestState`: the `RequestFlow` of its namespace that it follows, or jobs separated by commas. Extensions are
/// annotations, since programs of others drop fields that they do not know.
pub const FLOW_ANNOTATION: &str = "colonies.io/flow";

/// On a request: which of `Director` and `Worker` the operator is for it, separated by commas.
pub const ROLES_ANNOTATION: &str = "colonies.io/roles";
/// On a request without a flow: the Colony in which its jobs are done.
pub const COLONY_ANNOTATION: &str = "colonies.io/colony";
/// On a request without a flow: the type of the executors that do its jobs.
pub const EXECUTOR_TYPE_ANNOTATION: &str = "colonies.io/executor-type";
/// The default type of the executors that run the jobs of a request.
pub const REQUEST_EXECUTOR_TYPE: &str = "request-worker";

/// On a CRD that the operator made: the `ResourceDefinition` that it was made for. A CRD without it belongs to
/// another owner.
pub const DEFINITION_ANNOTATION: &str = "colonies.io/resource-definition";
/// On a CRD that the operator made: handler and policies of instances, as JSON. It is written together with the
/// schema, so that instances keep the last valid revision after an invalid one.
pub const HANDLER_ANNOTATION: &str = "colonies.io/handler";
/// On a CRD that the operator made: generation of the `ResourceDefinition` that it was last made from.
pub const ACCEPTED_GENERATION_ANNOTATION: &str = "colonies.io/accepted-generation";
/// On a CRD that the operator made: how objects of each version become objects of the stored one, as JSON. It is written
/// together with the schemas.
pub const CONVERSIONS_ANNOTATION: &str = "colonies.io/conversions";

/// The header with the bearer token of a user who reads logs and outputs: API servers pass no `Authorization` on.
pub const RESULTS_TOKEN_HEADER: &str = "x-colonies-token";

/// The port of the operator's Service at which users read logs and outputs, by its name.
pub const RESULTS_PORT: &str = "results";
/// On an instance of a defined kind: fields of other versions that this version cannot express, by version, as JSON.
pub const PRESERVED_FIELDS_ANNOTATION: &str = "colonies.io/kept-fields";
/// Key of the certificates of the authorities in the Secret of the conversion endpoint.
pub const AUTHORITY_CERTIFICATES_KEY: &str = "ca.crt";
/// Key of the private key of the authority that signs.
pub const AUTHORITY_KEY: &str = "ca.key";
/// Key of the private key of the authority that follows it, empty if there is none.
pub const NEXT_AUTHORITY_KEY: &str = "ca-next.key";
/// Key of the certificate of the endpoint, as in every Secret of type `kubernetes.io/tls`.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// Key of the private key of the endpoint.
pub const CERTIFICATE_PRIVATE_KEY: &str = "tls.key";
/// Key of what else is known of the certificates: names and times, as JSON.
pub const CERTIFICATE_TERMS_KEY: &str = "terms.json";
/// On a `ResourceDefinition`: hash of an accepted impact (`status.impact.hash`). What the change breaks, it breaks.
pub const ACCEPT_IMPACT_ANNOTATION: &str = "colonies.io/accept-impact";

/// Selects everything that belongs to one `ExecutorDeployment`; its value is the object's name.
pub const EXECUTOR_DEPLOYMENT_LABEL: &str = "compute.colonies.io/executor-deployment";
/// The executor type that a pod serves.
pub const EXECUTOR_TYPE_LABEL: &str = "compute.colonies.io/executor-type";
/// On a child: hash of what the operator last wrote, so that a field removed from the spec is noticed.
pub const CONTENT_HASH_ANNOTATION: &str = "compute.colonies.io/content-hash";
/// On a Job: hash of what an `ExecutorDeployment` asks to be run, without its size, its policies, and what the Colony and the
/// operator add. A Job that has it is left to run, and is not run again.
pub const RUN_ANNOTATION: &str = "compute.colonies.io/run";
/// On a pod: the executor as which it is registered. A new identity therefore rolls the pods.
pub const EXECUTOR_NAME_ANNOTATION: &str = "compute.colonies.io/executor";

/// On a pod that has an executor of its own: what the webhook selects by. Its value is [`IDENTITY_PER_POD`].
pub const IDENTITY_LABEL: &str = "compute.colonies.io/identity";
/// Value of the label.
pub const IDENTITY_PER_POD: &str = "PerPod";
/// On such a pod: hash of the environment that its executor gets besides its identity. Another one therefore rolls the pods.
pub const ENVIRONMENT_ANNOTATION: &str = "compute.colonies.io/environment";
/// Scheduling gate of a pod that has an executor of its own, until the executor is registered.
pub const REGISTRATION_GATE: &str = "compute.colonies.io/registration";
/// On a pod whose executor has run a process for some time, of a fleet that is drained. Its value is `true`.
pub const BUSY_LABEL: &str = "colonies.io/busy";
/// On such a pod: the id of the process.
pub const BUSY_WITH_ANNOTATION: &str = "colonies.io/busy-with";
/// By which a `ReplicaSet` chooses the pods that go first, the cheapest.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// By which the cluster autoscaler leaves a node, as long as it has the pod.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// By which Karpenter leaves a node, as long as it has the pod.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// Label by which Kueue has a workload wait in a queue; its value is the name of a `LocalQueue` of the namespace.
pub const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";
/// Name of the webhook that gives each pod a name for its executor, and of its configuration in charts that set no other.
pub const IDENTITY_WEBHOOK: &str = "identities.compute.colonies.io";

/// On an instance of a defined kind: the policy by which its parts are adopted, where the definition lets any be.
pub const ADOPTION_ANNOTATION: &str = "colonies.io/adoption-policy";
/// On a part of an instance of a defined kind: the instance's name, cut if it is longer than a label may be.
pub const INSTANCE_LABEL: &str = "colonies.io/instance";
/// On a part of an instance of a defined kind: the id of the resource of the definition that it was made from.
pub const RESOURCE_LABEL: &str = "colonies.io/resource";
/// On a Secret that an instance is made of: keys, separated by commas, that are given a text by chance when it is created,
/// and never changed.
pub const GENERATE_ANNOTATION: &str = "colonies.io/generate";
/// On a part of an instance of a defined kind: the fields that the operator last wrote, so that one that is gone from the
/// template is taken away again. On a workload: labels and annotations of its pod template, so that those of others stay.
pub const FIELDS_ANNOTATION: &str = "colonies.io/applied-fields";

/// On an object that the operator writes: the fields that admission changed, each with a hash of what was written and what
/// became of it, as JSON. They are not written again.
pub const ADMITTED_ANNOTATION: &str = "colonies.io/changed-on-admission";

/// Standard label: what the program is.
pub const APP_NAME_LABEL: &str = "app.kubernetes.io/name";
/// Standard label: which instance of it.
pub const APP_INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Standard label: its role.
pub const APP_COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Standard label: the whole that it is part of.
pub const APP_PART_OF_LABEL: &str = "app.kubernetes.io/part-of";
/// Standard label: who keeps it; every watch of children selects by it.
pub const APP_MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Name of the one container of an executor's pod.
pub const EXECUTOR_CONTAINER: &str = "executor";

/// Executor type as which the operator serves mirrored `ExecutorDeployments`.
pub const CONTROLLER_EXECUTOR_TYPE: &str = "executor-deployment-controller";
/// Executor type as which the operator serves blueprints whose definition names it as handler.
pub const RECONCILER_EXECUTOR_TYPE: &str = "kubernetes-reconciler";
/// Function that the operator names in the definition that it keeps.
pub const RECONCILER_FUNCTION: &str = "reconcile";
/// Function by which a server asks to take away what was made for a blueprint that is gone (`ColonyOS` 1.9.12).
pub const CLEANUP_FUNCTION: &str = "cleanup";
/// Kind of fleets in blueprints, and in their processes.
pub const EXECUTOR_DEPLOYMENT_KIND: &str = "ExecutorDeployment";
/// Name of the definition that the operator keeps.
pub const BLUEPRINT_DEFINITION: &str = "executor-deployment";
/// Node of a gated process that holds the other back until the operator opens it.
pub const GATE_NODE: &str = "gate";
/// Node of a gated process that does the work.
pub const RUN_NODE: &str = "run";
/// Function of the process of one generation of an `ExecutorDeployment`.
pub const RECONCILE_FUNCTION: &str = "reconcile_executor_deployment";

/// Key of the colony owner's private key in the Secret of a `Colony`.
pub const OWNER_KEY: &str = "colonyPrvKey";
/// Key of a member's private key in the Secret of a `Colony`.
pub const MEMBER_KEY: &str = "prvKey";
/// Key of the private key of the operator's own executor, in the Secret that the operator makes.
pub const OPERATOR_EXECUTOR_KEY: &str = "executorPrvKey";
/// Key of the name of the operator's own executor, in the Secret that the operator makes.
pub const OPERATOR_EXECUTOR_NAME_KEY: &str = "executorName";

/// Key of the private key of the operator's reconciler, in the Secret that the operator makes.
pub const RECONCILER_KEY: &str = "reconcilerPrvKey";
/// Key of the name of the operator's reconciler, in the Secret that the operator makes.
pub const RECONCILER_NAME_KEY: &str = "reconcilerName";

/// Beginning of keys in the Secret that the operator makes; the UID of an object follows whose process outlives it by a policy.
pub const LEFT_KEY_PREFIX: &str = "left.";

/// The Secret with the environment and the key of the executor of an `ExecutorDeployment`.
#[must_use]
pub fn identity_secret(executor_deployment: &str) -> String {
    format!("{executor_deployment}-executor-identity")
}

/// The Secret with the environment and the key of the executor of one pod of an `ExecutorDeployment`, by the end of the
/// executor's name.
#[must_use]
pub fn pod_identity_secret(executor_deployment: &str, end: &str) -> String {
    format!("{}-{end}", identity_secret(executor_deployment))
}

/// The `PodDisruptionBudget` of the busy pods of an `ExecutorDeployment`.
#[must_use]
pub fn busy_budget(executor_deployment: &str) -> String {
    format!("{executor_deployment}-busy")
}

/// The Secret, in the operator's namespace, with the keys that the operator made for itself in a colony. The Secret
/// that a user supplied is never written to.
#[must_use]
pub fn operator_secret(colony: &str) -> String {
    format!("colony-{colony}-operator")
}

/// The run of a `ColonyCron` for a time, given in minutes since 1970: who asks twice for a run gets the same name twice.
#[must_use]
pub fn cron_run(cron: &str, minute: i64) -> String {
    format!("{cron}-{minute}")
}

/// The time that a run of a `ColonyCron` is for, in minutes since 1970; none if it does not have the name of a run.
#[must_use]
pub fn parse_cron_run(cron: &str, run: &str) -> Option<i64> {
    let minute: i64 = run.strip_prefix(cron)?.strip_prefix('-')?.parse().ok()?;
    (cron_run(cron, minute) == run).then_some(minute)
}

/// The label that ties a process to one generation of one object. `ColonyOS` has no idempotency key; the label is
/// the only field that a client chooses and the server can look up.
#[must_use]
pub fn process_label(cluster: &str, uid: &str, generation: i64) -> String {
    format!("k8s:{cluster}/{uid}/{generation}")
}

/// The number by which the process of a clean-up is known where others have the generation that they carry: 0 for the first
/// attempt, then -1, -2 and so on. Generations begin with 1, and a deleted object can still come into further ones.
#[must_use]
pub const fn cleanup_generation(attempt: i64) -> i64 {
    -attempt
}

/// What the annotation [`SUBMITTED_AS_ANNOTATION`] says of an object.
#[must_use]
pub fn submitted_as(cluster: &str, uid: &str, namespace: &str, name: &str) -> String {
    format!("k8s:{cluster}/{uid}/{namespace}/{name}")
}

/// Cluster and UID as which the work of an object was submitted; none if what the annotation says is not of an object of this
/// namespace and name.
#[must_use]
pub fn parse_submitted_as<'a>(text: &'a str, namespace: &str, name: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = text.strip_prefix("k8s:")?.splitn(4, '/');
    let (cluster, uid) = (parts.next()?, parts.next()?);
    (parts.next()? == namespace && parts.next()? == name).then_some((cluster, uid))
}

/// Which attempt of a clean-up a process is, counted from 0; none if it carries a generation.
#[must_use]
pub const fn cleanup_attempt(generation: i64) -> Option<i64> {
    if generation <= 0 { Some(-generation) } else { None }
}

/// Identifies the object of a cluster that a blueprint was created for.
#[must_use]
pub fn blueprint_origin(cluster: &str, uid: &str) -> String {
    format!("k8s:{cluster}/{uid}")
}

/// The id of the blueprint of an instance: whatever is tried again, there cannot be two of it.
#[must_use]
pub fn blueprint_id(cluster: &str, uid: &str) -> String {
    blueprint_origin(cluster, uid)
}

/// The id of the definition that a colony has of a user-defined kind, by the name of its `ResourceDefinition`: one
/// that is applied again takes up what it left.
#[must_use]
pub fn blueprint_definition_id(cluster: &str, definition: &str) -> String {
    format!("k8s:{cluster}/{definition}")
}

/// What an executor says of the `ExecutorDeployment` that it was registered for, in the field for the id of a blueprint.
#[must_use]
pub fn executor_origin(cluster: &str, uid: &str, namespace: &str, name: &str) -> String {
    format!("k8s:{cluster}/{uid}/{namespace}/{name}")
}

/// Longest part of an executor's name before its random end.
const LONGEST_EXECUTOR_PREFIX: usize = 120;

/// What the names of the executors of an `ExecutorDeployment` begin with; a `-` and letters and digits follow.
#[must_use]
pub fn executor_prefix(namespace: &str, name: &str) -> String {
    format!("{namespace}-{name}").chars().take(LONGEST_EXECUTOR_PREFIX).collect()
}

/// Whether an executor has the name of one of an `ExecutorDeployment`.
#[must_use]
pub fn is_executor_of(executor: &str, namespace: &str, name: &str) -> bool {
    let rest =
        executor.strip_prefix(&executor_prefix(namespace, name)).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('-'))
}

/// The random end of the name of an executor of an `ExecutorDeployment`; none if it is not one of its names.
#[must_use]
pub fn executor_end<'a>(executor: &'a str, namespace: &str, name: &str) -> Option<&'a str> {
    let end = executor.strip_prefix(&executor_prefix(namespace, name))?.strip_prefix('-')?;
    let is_end =
        !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_end.then_some(end)
}

/// What an executor of an operator says of its cluster, in the same field.
#[must_use]
pub fn operator_origin(cluster: &str) -> String {
    format!("k8s:{cluster}/operator")
}

/// Takes the origin of an executor of an `ExecutorDeployment` apart: cluster, UID, namespace, name; none if it is not one of ours.
#[must_use]
pub fn parse_executor_origin(origin: &str) -> Option<(&str, &str, &str, &str)> {
    let mut parts = origin.strip_prefix("k8s:")?.split('/');
    let parsed = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(parsed)
}

/// Takes a process label apart: cluster, UID, generation; none if it is not one of ours.
#[must_use]
pub fn parse_process_label(label: &str) -> Option<(&str, &str, i64)> {
    let mut parts = label.strip_prefix("k8s:")?.split('/');
    let parsed = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of a run is read from its name, since a name is immutable.
    #[test]
    fn the_time_of_a_run_is_in_its_name() {
        assert_eq!(cron_run("nightly", 29_000_000), "nightly-29000000");
        assert_eq!(parse_cron_run("nightly", "nightly-29000000"), Some(29_000_000));
        for foreign in ["nightly", "nightly-", "nightly-x", "nightly-2-29000000", "nightly-+1", "other-1"] {
            assert_eq!(parse_cron_run("nightly", foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_an_object_was_submitted_as_is_read_of_it_alone() {
        let said = submitted_as("c", "u", "ns", "n");
        assert_eq!(parse_submitted_as(&said, "ns", "n"), Some(("c", "u")));
        for (namespace, name) in [("ns", "copy"), ("other", "n"), ("", "n")] {
            assert_eq!(parse_submitted_as(&said, namespace, name), None, "{namespace}/{name}");
        }
        assert_eq!(parse_submitted_as(&submitted_as("c", "u", "", "n"), "", "n"), Some(("c", "u")));
        assert_eq!(parse_submitted_as("k8s:c/u", "ns", "n"), None);
    }

    #[test]
    fn origins_of_executors_are_no_labels_of_processes() {
        let origin = executor_origin("c", "u", "ns", "fleet");
        assert_eq!(parse_executor_origin(&origin), Some(("c", "u", "ns", "fleet")));
        assert_eq!(parse_process_label(&origin), None);
        for foreign in ["", "k8s:c/u", "k8s:c/u/1", "k8s:c/u/ns/n/x", "blueprint"] {
            assert_eq!(parse_executor_origin(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn executors_are_named_after_their_fleet() {
        assert_eq!(executor_prefix("media", "encoders"), "media-encoders");
        assert!(is_executor_of("media-encoders-abc123", "media", "encoders"));
        for other in [
            "",
            "media-encoders",
            "media-encoders-",
            "media-encoders-x-abc123",
            "media-encodersabc123",
            "other-encoders-abc123",
            "edge-7-operator-abc123",
        ] {
            assert!(!is_executor_of(other, "media", "encoders"), "{other}");
        }
        assert_eq!(executor_end("media-encoders-abc123", "media", "encoders"), Some("abc123"));
        for other in
            ["media-encoders", "media-encoders-", "media-encoders-x/y", "media-encoders-a-b", "x-y-abc"]
        {
            assert_eq!(executor_end(other, "media", "encoders"), None, "{other}");
        }
        let long = "n".repeat(63);
        assert!(is_executor_of(&format!("{}-abc123", executor_prefix(&long, &long)), &long, &long));
    }

    /// A label that does not survive its way through the server would make every look-up miss.
    #[test]
    fn process_labels_survive_the_round_trip() {
        let label = process_label("c1", "u2", 3);
        assert_eq!(label, "k8s:c1/u2/3");
        assert_eq!(parse_process_label(&label), Some(("c1", "u2", 3)));
        for foreign in ["", "k8s:", "k8s:a/b", "k8s:a/b/c", "k8s:a/b/1/2", "a/b/1"] {
            assert_eq!(parse_process_label(foreign), None, "{foreign}");
        }
    }
}
