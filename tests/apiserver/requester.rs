//! The chart's admission policy: the requester of a workload must be allowed to create it. That a policy's CEL compiles
//! and what it answers shows only on a real API server.

use std::{path::Path, process::Command, time::Duration};

use colonyos_operator::{
    api::{
        colony_cron::ColonyCron, colony_process::ColonyProcess, executor_deployment::ExecutorDeployment,
        policy::SyncPolicy, request_state::RequestState,
    },
    runtime::kubernetes::{Kubernetes, connect_with},
};
use http::{HeaderName, HeaderValue};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Namespace,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::support::{
    cluster::{TESTER, connect_with_crds},
    environment,
    namespace::{TestNamespace, in_namespace},
    wait::eventually,
};

/// How long the API server may take to heed a new policy or role.
const LIMIT: Duration = Duration::from_secs(30);
/// What only the policy says.
pub(crate) const REFUSAL: &str = "which the operator would do on their behalf";

/// Talks to the API server as another user.
pub(crate) async fn impersonate(user: &str) -> Client {
    let mut config = Config::infer().await.unwrap();
    config.headers.push((HeaderName::from_static("impersonate-user"), HeaderValue::from_str(user).unwrap()));
    connect_with(config).unwrap().calls
}

/// The policies as the chart renders them, for an operator in `namespace` and kinds of users in these groups.
fn policy(namespace: &TestNamespace, groups: &[&str]) -> Vec<Value> {
    let release = release(namespace);
    let helm = environment::variable("HELM").unwrap_or_else(|| "helm".to_owned());
    let output = Command::new(&helm)
        .args(["template", &release, "charts/colonyos-operator", "--namespace", &namespace.name])
        .args(["--kube-version", "1.36.0", "--show-only", "templates/admission-policy.yaml"])
        .args(["--set-json", &format!("userKinds.groups={}", json!(groups))])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap_or_else(|error| panic!("failed to start {helm}: {error}; `cargo xtask test` provides it"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = text.split("---\n").filter(|document| !document.trim().is_empty());
    documents.map(|document| serde_norway::from_str(document).unwrap()).collect()
}

/// Installs the policy; it goes with the namespace.
async fn install(kubernetes: &Kubernetes, namespace: &TestNamespace) {
    install_for(kubernetes, namespace, &[]).await;
}

/// Installs the policies, also for kinds of users in these groups; they go with the namespace.
pub(crate) async fn install_for(kubernetes: &Kubernetes, namespace: &TestNamespace, groups: &[&str]) {
    let namespaces: Api<Namespace> = Api::all(kubernetes.calls.clone());
    let owner = namespaces.get(&namespace.name).await.unwrap().owner_ref(&()).unwrap();
    for mut object in policy(namespace, groups) {
        object["metadata"]["ownerReferences"] = json!([owner]);
        match object["kind"].as_str().unwrap() {
            "ValidatingAdmissionPolicy" => create::<ValidatingAdmissionPolicy>(kubernetes, object).await,
            "ValidatingAdmissionPolicyBinding" => {
                // For other tests, this operator would be a stranger.
                let labels = json!({ "kubernetes.io/metadata.name": namespace.name });
                object["spec"]["matchResources"] = json!({ "namespaceSelector": { "matchLabels": labels } });
                create::<ValidatingAdmissionPolicyBinding>(kubernetes, object).await;
            }
            other => panic!("the policy's template holds a {other}"),
        }
    }
}

async fn create<K>(kubernetes: &Kubernetes, object: Value)
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    Api::all(kubernetes.calls.clone()).create(&PostParams::default(), &object).await.unwrap();
}

/// Lets a user do something in the namespace.
pub(crate) async fn grant(namespace: &TestNamespace, user: &str, name: &str, rules: Value) {
    let role: Role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules})).unwrap();
    namespace.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))
    .unwrap();
    namespace.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
}

fn fleet(workload: &str, runtime: &str) -> ExecutorDeployment {
    serde_json::from_value(json!({
        "apiVersion": "compute.colonies.io/v1",
        "kind": "ExecutorDeployment",
        "metadata": {"name": "encoders"},
        "spec": {"executorType": "encoder", "image": "encoder:1", "workload": workload, "runtime": runtime},
    }))
    .unwrap()
}

/// Whether the API server would take the object; nothing is kept.
async fn ask(fleets: &Api<ExecutorDeployment>, workload: &str, runtime: &str) -> Result<(), String> {
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    fleets.create(&parameters, &fleet(workload, runtime)).await.map(drop).map_err(|error| error.to_string())
}

async fn wait_for_refusal(fleets: &Api<ExecutorDeployment>, workload: &str) {
    eventually(&format!("a {workload} is refused by the policy"), LIMIT, async || {
        match ask(fleets, workload, "kubernetes").await {
            Err(message) if message.contains(REFUSAL) => Ok(()),
            other => Err(format!("the answer is {other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn the_requester_of_a_workload_must_be_allowed_to_create_it() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "requester", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let fleets: Api<ExecutorDeployment> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let verbs = json!(["create", "update", "patch"]);
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": verbs}]);
        grant(&namespace, &user, "fleets", rule).await;
        install(&kubernetes, &namespace).await;

        for workload in ["Deployment", "DaemonSet", "Job"] {
            wait_for_refusal(&fleets, workload).await;
        }
        // Nothing is created here for those.
        ask(&fleets, "Deployment", "docker").await.unwrap();

        let rule = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}]);
        grant(&namespace, &user, "deployments", rule).await;
        eventually("who may create Deployments may ask for one", LIMIT, async || {
            ask(&fleets, "Deployment", "kubernetes").await
        })
        .await;
        wait_for_refusal(&fleets, "DaemonSet").await;
        wait_for_refusal(&fleets, "Job").await;
    })
    .await;
}

/// The colony may change the runtime and the workload later, and then no user is asked.
#[tokio::test]
async fn whoever_hands_a_spec_to_the_colony_must_be_allowed_to_create_all_workloads() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "requester-colony", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let fleets: Api<ExecutorDeployment> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": ["create"]},
            {"apiGroups": ["apps"], "resources": ["deployments", "daemonsets"], "verbs": ["create"]}]);
        grant(&namespace, &user, "fleets", rule).await;
        install(&kubernetes, &namespace).await;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let handed_over = |name: &str| {
            let mut object = fleet("Deployment", "docker");
            object.metadata.name = Some(name.to_owned());
            object.spec.sync_policy = Some(SyncPolicy::ColonyWins);
            object
        };
        eventually("a Job that the colony could request is refused", LIMIT, async || {
            match fleets.create(&dry, &handed_over("handed")).await {
                Err(error) if error.to_string().contains("syncPolicy ColonyWins") => Ok(()),
                other => Err(format!("the answer is {other:?}")),
            }
        })
        .await;
        let rule = json!([{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]);
        grant(&namespace, &user, "jobs", rule).await;
        eventually("with all three rights it is accepted", LIMIT, async || {
            fleets.create(&dry, &handed_over("handed")).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    })
    .await;
}

/// These notes say for whom the operator made an object; believed from a tenant, they would take another's fleet over.
#[tokio::test]
async fn notes_of_origin_are_written_by_the_operator_alone() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "requester-origin", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let fleets: Api<ExecutorDeployment> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": ["create", "patch"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}]);
        grant(&namespace, &user, "fleets", rule).await;
        install(&kubernetes, &namespace).await;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let with_note = |note: &str| {
            let mut object = fleet("Deployment", "kubernetes");
            if note == "colonies.io/origin" {
                object.labels_mut().insert(note.to_owned(), "blueprint".to_owned());
            } else {
                object.annotations_mut().insert(note.to_owned(), "p".to_owned());
            }
            object
        };
        let notes = ["colonies.io/process", "colonies.io/process-submitted", "colonies.io/restarted-for", "colonies.io/origin"];
        for note in notes {
            eventually(&format!("{note} is refused"), LIMIT, async || {
                match fleets.create(&dry, &with_note(note)).await {
                    Err(error) if error.to_string().contains(&format!("[{note}] is written by the operator")) => Ok(()),
                    other => Err(format!("the answer is {other:?}")),
                }
            })
            .await;
        }
        // An object that has them keeps them when its owner changes something else.
        let admin = namespace.api::<ExecutorDeployment>();
        admin.create(&PostParams::default(), &with_note("colonies.io/process")).await.unwrap();
        let change = Patch::Merge(json!({"metadata": {"annotations": {"note": "a"}}}));
        fleets.patch("encoders", &PatchParams::default(), &change).await.unwrap();
        // Who may write the status, such as a restore from a backup, may write them.
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments/status"], "verbs": ["update"]}]);
        grant(&namespace, &user, "status", rule).await;
        eventually("a restore may write them", LIMIT, async || {
            let mut object = with_note("colonies.io/origin");
            object.metadata.name = Some("restored".to_owned());
            fleets.create(&dry, &object).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    })
    .await;
}

/// Otherwise no user could label an object, and no finalizer could be removed, once a right is gone.
#[tokio::test]
async fn what_starts_no_workload_is_not_asked_about() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "requester-metadata", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let fleets: Api<ExecutorDeployment> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let verbs = json!(["create", "update", "patch"]);
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": verbs}]);
        grant(&namespace, &user, "fleets", rule).await;
        let admin = namespace.api::<ExecutorDeployment>();
        admin.create(&PostParams::default(), &fleet("Deployment", "kubernetes")).await.unwrap();
        install(&kubernetes, &namespace).await;
        wait_for_refusal(&fleets, "Deployment").await;

        let parameters = PatchParams { field_manager: Some(TESTER.to_owned()), ..PatchParams::default() };
        let metadata = json!({"metadata": {"annotations": {"note": "a"}}});
        fleets.patch("encoders", &parameters, &Patch::Merge(&metadata)).await.unwrap();
        let spec = json!({"spec": {"image": "encoder:2"}});
        let refused = fleets.patch("encoders", &parameters, &Patch::Merge(&spec)).await.unwrap_err();
        assert!(refused.to_string().contains(REFUSAL), "{refused}");

        // The operator changes objects that others were allowed to create.
        let account = format!("system:serviceaccount:{}:{}-colonyos-operator", namespace.name, release(&namespace));
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": ["patch"]}]);
        grant(&namespace, &account, "operator", rule).await;
        let operator: Api<ExecutorDeployment> = Api::namespaced(impersonate(&account).await, &namespace.name);
        eventually("the operator may", LIMIT, async || {
            operator.patch("encoders", &parameters, &Patch::Merge(&spec)).await.map_err(|error| error.to_string())
        })
        .await;
    })
    .await;
}

/// Arguments may be anything, so that no schema can compare them: the policy does.
#[tokio::test]
async fn what_was_submitted_cannot_change() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "submitted", async |namespace| {
        install(&kubernetes, &namespace).await;
        let processes: Api<ColonyProcess> = namespace.api();
        let spec = json!({ "function": "f", "conditions": { "executorType": "t", "nodes": 1 },
            "args": [{ "deep": [1] }], "kwargs": { "a": 1 }, "env": [{ "name": "A", "value": "1" }], "suspend": true });
        let object = json!({ "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
            "metadata": { "name": "encode" }, "spec": spec });
        processes.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let parameters = PatchParams::default();
        let change = async |spec: Value| {
            let patch = json!({ "spec": spec });
            let changed = processes.patch("encode", &parameters, &Patch::Merge(&patch)).await;
            changed.map(drop).map_err(|error| error.to_string())
        };
        change(json!({ "args": [{ "deep": [2] }] })).await.expect("nothing was submitted yet");
        // Until the policy is heeded, nothing may be changed: what is changed already is no change.
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        let refused = async |spec: Value| {
            let patch = json!({ "spec": spec });
            processes.patch("encode", &dry, &Patch::Merge(&patch)).await.map(drop).map_err(|error| error.to_string())
        };
        let mirror = json!({ "label": "l", "generation": 1, "state": "Intended", "intendedAt": "2026-01-01T00:00:00Z" });
        let status = json!({ "status": { "mirror": mirror } });
        processes.patch_status("encode", &parameters, &Patch::Merge(&status)).await.unwrap();
        for (field, changed) in [
            ("args", json!([{ "deep": [3] }])),
            ("args", Value::Null),
            ("kwargs", json!({ "b": 2 })),
            ("env", json!([{ "name": "A", "value": "2" }])),
            ("conditions", json!({ "nodes": 2 })),
        ] {
            eventually(&format!("a change of {field} is refused"), LIMIT, async || {
                match refused(json!({ field: changed })).await {
                    Err(refusal) if refusal.contains(&format!("spec.{field}: what was submitted")) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
        change(json!({ "suspend": false, "backoffLimit": 3 })).await.unwrap();
    })
    .await;
}

/// The operator creates what a schedule says, so the schedule is no way around the right to create it.
#[tokio::test]
async fn the_author_of_a_schedule_must_be_allowed_to_create_its_runs() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "requester-cron", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let crons: Api<ColonyCron> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let verbs = json!(["create", "update", "patch"]);
        let rule = json!([{"apiGroups": ["colonies.io"], "resources": ["colonycrons"], "verbs": verbs}]);
        grant(&namespace, &user, "crons", rule).await;
        let cron: ColonyCron = serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyCron", "metadata": {"name": "nightly"},
            "spec": {"schedule": "@daily", "suspend": true, "processTemplate": {
                "spec": {"function": "f", "conditions": {"executorType": "t"}},
            }},
        }))
        .unwrap();
        namespace.api::<ColonyCron>().create(&PostParams::default(), &cron).await.unwrap();
        install(&kubernetes, &namespace).await;
        let (parameters, dry_run) =
            (PatchParams::default(), PostParams { dry_run: true, ..PostParams::default() });
        let mut other = cron.clone();
        other.metadata.name = Some("other".to_owned());
        eventually("a schedule is refused by the policy", LIMIT, async || {
            match crons.create(&dry_run, &other).await {
                Err(error) if error.to_string().contains(REFUSAL) => Ok(()),
                answer => Err(format!("the answer is {answer:?}")),
            }
        })
        .await;
        // Neither a new template nor an end of the suspension, but labels.
        let change = Patch::Merge(json!({"spec": {"suspend": false}}));
        let refused = crons.patch("nightly", &parameters, &change).await.unwrap_err();
        assert!(refused.to_string().contains(REFUSAL), "{refused}");
        let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        crons.patch("nightly", &parameters, &label).await.unwrap();

        let rule =
            json!([{"apiGroups": ["colonies.io"], "resources": ["colonyprocesses"], "verbs": ["create"]}]);
        grant(&namespace, &user, "processes", rule).await;
        eventually("who may create processes may write a schedule", LIMIT, async || {
            crons.create(&dry_run, &other).await.map_err(|error| error.to_string())
        })
        .await;
    })
    .await;
}

/// No schema sees annotations; a typing error in one would be a request without effect.
#[tokio::test]
async fn what_a_request_says_in_annotations_is_read_when_it_is_admitted() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "annotated", async |namespace| {
        install(&kubernetes, &namespace).await;
        let requests: Api<RequestState> = namespace.api();
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let ask = async |annotation: &str, value: &str| {
            let object = json!({
                "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
                "metadata": {"name": "r", "annotations": {annotation: value}},
                "spec": {"request-uid": "u", "job": "JOB1", "state": "REQUESTED"},
            });
            let created = requests.create(&dry_run, &serde_json::from_value(object).unwrap()).await;
            created.map(drop).map_err(|error| error.to_string())
        };
        for (annotation, value, words) in [
            ("colonies.io/roles", "Director, worker", "worker is no role: give Director, Worker"),
            ("colonies.io/flow", " , ", "it names no job"),
            ("colonies.io/flow", "A,B, A", "A,B, A has a job twice"),
            ("colonies.io/executor-type", "a:b", "a:b is not a type"),
        ] {
            eventually(&format!("{annotation}: {value} is refused"), LIMIT, async || {
                match ask(annotation, value).await {
                    Err(refusal) if refusal.contains(annotation) && refusal.contains(words) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
        for (annotation, value) in [
            ("colonies.io/roles", "Director, Worker"),
            ("colonies.io/roles", ""),
            ("colonies.io/flow", "transcode"),
            ("colonies.io/flow", "A,"),
            ("colonies.io/executor-type", "video-encoder"),
        ] {
            ask(annotation, value).await.unwrap();
        }
    })
    .await;
}

/// A release of its own for each test: the policy belongs to no namespace.
pub(crate) fn release(namespace: &TestNamespace) -> String {
    let (_, suffix) = namespace.name.rsplit_once('-').unwrap();
    format!("r{suffix}")
}

/// A misspelt annotation does nothing, for ever and without a word.
#[tokio::test]
async fn a_misspelt_annotation_is_a_warning_at_once() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "spelling", async |namespace| {
        install(&kubernetes, &namespace).await;
        let warning = async |annotation: &str, value: &str| {
            let mut fleet = fleet("Deployment", "kubernetes");
            fleet.annotations_mut().insert(annotation.to_owned(), value.to_owned());
            let path = format!(
                "/apis/compute.colonies.io/v1/namespaces/{}/executordeployments?dryRun=All",
                namespace.name
            );
            let request = http::Request::post(path)
                .header("content-type", "application/json")
                .body(kube::client::Body::from(serde_json::to_vec(&fleet).unwrap()))
                .unwrap();
            let answer = kubernetes.calls.send(request).await.unwrap();
            assert_eq!(answer.status(), 201, "a warning refuses nothing");
            let all = answer.headers().get_all("warning").iter();
            all.map(|warning| warning.to_str().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
        };
        eventually("the API server heeds the policy", LIMIT, async || {
            let says = warning("colonies.io/pausd", "true").await;
            if says.contains("metadata.annotations[colonies.io/pausd] has no effect") {
                Ok(())
            } else {
                Err(says)
            }
        })
        .await;
        let says = warning("colonies.io/paused", "yes").await;
        assert!(
            says.contains("has no effect: write")
                && says.contains("metadata.annotations[colonies.io/paused]"),
            "{says}"
        );
        for (annotation, value) in
            [("colonies.io/paused", "true"), ("example.com/pausd", "x"), ("colonies.io/blueprint", "b")]
        {
            assert_eq!(warning(annotation, value).await, "", "{annotation}");
        }
    })
    .await;
}
