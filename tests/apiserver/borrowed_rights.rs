//! The chart's admission policies: what the operator reads, replaces and deletes on behalf of a user, the user may do.

use std::time::Duration;

use colonyos_operator::api::{
    colony_cron::ColonyCron, colony_process::ColonyProcess, colony_workflow::ColonyWorkflow,
    executor_deployment::ExecutorDeployment, request_flow::RequestFlow,
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    requester::{REFUSAL, grant, impersonate, install_for},
    support::{
        cluster::connect_with_crds,
        namespace::{TestNamespace, in_namespace},
        wait::eventually,
    },
};

/// How long the API server may take to heed a new policy or role.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether the API server would take the object from the user; nothing is kept.
async fn ask<K>(namespace: &TestNamespace, user: &str, object: &Value) -> Result<(), String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned,
    K: Clone + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(impersonate(user).await, &namespace.name);
    let object: K = serde_json::from_value(object.clone()).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &object).await.map(drop).map_err(|error| error.to_string())
}

async fn ask_any(namespace: &TestNamespace, user: &str, object: &Value) -> Result<(), String> {
    match object["kind"].as_str().unwrap() {
        "ColonyProcess" => ask::<ColonyProcess>(namespace, user, object).await,
        "ColonyWorkflow" => ask::<ColonyWorkflow>(namespace, user, object).await,
        "ColonyCron" => ask::<ColonyCron>(namespace, user, object).await,
        "RequestFlow" => ask::<RequestFlow>(namespace, user, object).await,
        "ExecutorDeployment" => ask::<ExecutorDeployment>(namespace, user, object).await,
        other => panic!("{other} is not asked about"),
    }
}

async fn until_refused(namespace: &TestNamespace, user: &str, object: &Value, words: &str) {
    eventually(&format!("{words}: {object}"), LIMIT, async || match ask_any(namespace, user, object).await {
        Err(message) if message.contains(REFUSAL) && message.contains(words) => Ok(()),
        other => Err(format!("the answer is {other:?}")),
    })
    .await;
}

async fn until_accepted(namespace: &TestNamespace, user: &str, object: &Value) {
    eventually(&format!("accepted: {object}"), LIMIT, async || ask_any(namespace, user, object).await).await;
}

/// Each kind that calls functions, with these variables in its last call.
fn callers(env: &Value) -> [Value; 5] {
    let call = json!({"function": "f", "conditions": {"executorType": "t"}, "env": env});
    let plain = json!({"name": "a", "function": "f", "conditions": {"executorType": "t"}});
    let mut node = call.clone();
    node["name"] = json!("b");
    let object = |kind: &str, spec: Value| json!({"apiVersion": "colonies.io/v1", "kind": kind, "metadata": {"name": "caller"}, "spec": spec});
    let cron = |template: Value| object("ColonyCron", template);
    [
        object("ColonyProcess", call.clone()),
        object("ColonyWorkflow", json!({"nodes": [plain, node]})),
        cron(json!({"schedule": "@daily", "processTemplate": {"spec": call}})),
        cron(json!({"schedule": "@daily", "workflowTemplate": {"spec": {"nodes": [plain, node]}}})),
        object(
            "RequestFlow",
            json!({"jobs": [{"name": "A", "function": {"name": "f", "executorType": "t"}},
            {"name": "B", "function": {"name": "f", "executorType": "t", "env": env}}]}),
        ),
    ]
}

fn from_secret(name: &str) -> Value {
    json!({"name": format!("V-{name}"), "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}})
}

fn from_map(name: &str) -> Value {
    json!({"name": format!("M-{name}"), "valueFrom": {"configMapKeyRef": {"name": name, "key": "k"}}})
}

/// The values go to the colony, where every member reads them.
#[tokio::test]
async fn who_refers_to_a_secret_must_be_allowed_to_read_it() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "borrowed-reads", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let kinds = json!(["colonyprocesses", "colonyworkflows", "colonycrons", "requestflows"]);
        let rule = json!([{"apiGroups": ["colonies.io"], "resources": kinds, "verbs": ["create", "patch"]}]);
        grant(&namespace, &user, "kinds", rule).await;
        install_for(&kubernetes, &namespace, &[]).await;

        for object in callers(&json!([{"name": "A", "value": "1"}, from_secret("one")])) {
            until_refused(&namespace, &user, &object, "may not get secrets one").await;
        }
        for object in callers(&json!([from_map("one")])) {
            until_refused(&namespace, &user, &object, "may not get configmaps one").await;
        }
        for object in callers(&json!([{"name": "A", "value": "1"}])) {
            until_accepted(&namespace, &user, &object).await;
        }

        // By name: the same Secret any number of times, and no other.
        let rule = json!([{"apiGroups": [""], "resources": ["secrets", "configmaps"], "resourceNames": ["one"], "verbs": ["get"]}]);
        grant(&namespace, &user, "one", rule).await;
        let many: Vec<Value> = (0..12)
            .map(|index| {
                let mut variable = from_secret("one");
                variable["name"] = json!(format!("V{index}"));
                variable
            })
            .chain([from_map("one")])
            .collect();
        for object in callers(&json!(many)) {
            until_accepted(&namespace, &user, &object).await;
        }
        for object in callers(&json!([from_secret("one"), from_secret("two")])) {
            until_refused(&namespace, &user, &object, "may not get secrets two").await;
        }
        // More names than are checked one by one.
        let names: Vec<String> = (0..9).map(|index| format!("s{index}")).collect();
        let rule = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}]);
        grant(&namespace, &user, "nine", rule).await;
        let nine: Vec<Value> = names.iter().map(|name| from_secret(name)).collect();
        for object in callers(&json!(nine[..8])) {
            until_accepted(&namespace, &user, &object).await;
        }
        for object in callers(&json!(nine)) {
            until_refused(&namespace, &user, &object, "may not get all secrets").await;
        }
        let rule = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
        grant(&namespace, &user, "all", rule).await;
        for object in callers(&json!(nine)) {
            until_accepted(&namespace, &user, &object).await;
        }

        // A change of the spec is asked about, labels are not.
        let lesser = format!("bob-of-{}", namespace.name);
        let rule = json!([{"apiGroups": ["colonies.io"], "resources": kinds, "verbs": ["patch"]}]);
        grant(&namespace, &lesser, "lesser", rule).await;
        let flow: RequestFlow = serde_json::from_value(callers(&json!([from_secret("one")]))[4].clone()).unwrap();
        namespace.api::<RequestFlow>().create(&PostParams::default(), &flow).await.unwrap();
        let flows: Api<RequestFlow> = Api::namespaced(impersonate(&lesser).await, &namespace.name);
        let change = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 60}}));
        eventually("another's change is refused", LIMIT, async || {
            match flows.patch("caller", &PatchParams::default(), &change).await {
                Err(error) if error.to_string().contains("may not get secrets one") => Ok(()),
                other => Err(format!("the answer is {other:?}")),
            }
        })
        .await;
        let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        flows.patch("caller", &PatchParams::default(), &label).await.unwrap();
    })
    .await;
}

/// What is adopted is replaced, and deleted with the object.
#[tokio::test]
async fn who_adopts_a_workload_must_be_allowed_to_replace_and_delete_it() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "borrowed-writes", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let rule = json!([{"apiGroups": ["compute.colonies.io"], "resources": ["executordeployments"], "verbs": ["create"]},
            {"apiGroups": ["apps"], "resources": ["deployments", "daemonsets"], "verbs": ["create"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]);
        grant(&namespace, &user, "fleets", rule).await;
        install_for(&kubernetes, &namespace, &[]).await;
        let fleet = |adoption: &str, sync: Option<&str>| {
            json!({"apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment", "metadata": {"name": "encoders"},
                "spec": {"executorType": "encoder", "image": "encoder:1", "adoptionPolicy": adoption, "syncPolicy": sync}})
        };
        for adoption in ["adopt", "adopt-or-create"] {
            let words = "may not update and delete deployments encoders";
            until_refused(&namespace, &user, &fleet(adoption, None), words).await;
        }
        until_accepted(&namespace, &user, &fleet("fail", None)).await;

        let rule = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["encoders"], "verbs": ["update"]}]);
        grant(&namespace, &user, "update", rule).await;
        until_refused(&namespace, &user, &fleet("adopt", None), "may not update and delete deployments").await;
        let rule = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["encoders"], "verbs": ["delete"]}]);
        grant(&namespace, &user, "delete", rule).await;
        let words = "may not update and delete Secret encoders-executor-identity";
        until_refused(&namespace, &user, &fleet("adopt", None), words).await;
        let rule = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["encoders-executor-identity"], "verbs": ["update", "delete"]}]);
        grant(&namespace, &user, "secret", rule).await;
        until_accepted(&namespace, &user, &fleet("adopt", None)).await;

        // The colony may choose any workload.
        let words = "may not update and delete daemonsets";
        until_refused(&namespace, &user, &fleet("adopt", Some("ColonyWins")), words).await;
    })
    .await;
}
