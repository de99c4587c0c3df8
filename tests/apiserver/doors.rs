//! What a tenant with the `ClusterRole` `edit` and a member of a colony try, each with credentials of their own.

use colonyos_operator::{
    api::{
        colony::Colony,
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::ExecutorDeployment,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION, identity_secret},
        request_flow::RequestFlow,
        request_state::RequestState,
        resource_definition::ResourceDefinition,
        work::WorkState,
    },
    colony::{Error, FunctionSpec, PrivateKey, ProcessState, Session},
    runtime::kubernetes::connect_with,
};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Namespace, Secret, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::AuthInfo,
};
use serde_json::{Value, json};

use crate::{
    requester::{install, install_roles},
    support::{
        cluster::connect_with_crds,
        colony::assigned,
        conditions::Conditions as _,
        namespace::{TestNamespace, in_namespace},
        object,
        process::until_ended,
        stage::{SOON, Stage, executor_deployment, with_operator, with_operator_beside},
        wait::eventually,
    },
};

/// A client with the token of an account that has the `ClusterRole` `edit` in the namespace.
async fn tenant(namespace: &TestNamespace) -> Client {
    let accounts: Api<ServiceAccount> = namespace.api();
    let account = json!({ "metadata": { "name": "tenant" } });
    accounts.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "tenant" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [{ "kind": "ServiceAccount", "name": "tenant", "namespace": namespace.name }],
    }))
    .unwrap();
    namespace.api().create(&PostParams::default(), &binding).await.unwrap();
    let asked: TokenRequest = serde_json::from_value(json!({ "spec": { "audiences": [] } })).unwrap();
    let token = accounts.create_token_request("tenant", &PostParams::default(), &asked).await.unwrap();
    let mut config = Config::infer().await.unwrap();
    config.auth_info = AuthInfo { token: token.status.unwrap().token.map(Into::into), ..AuthInfo::default() };
    connect_with(config).unwrap().calls
}

/// The executor of a fleet: whoever may read the Secret beside the fleet is a member of the colony.
async fn member(stage: &Stage, namespace: &TestNamespace, fleet: &str) -> Session {
    let secret = namespace.api::<Secret>().get(&identity_secret(fleet)).await.unwrap();
    let key = String::from_utf8(secret.data.unwrap()["COLONIES_PRVKEY"].0.clone()).unwrap();
    stage.colony.owner.client().session(&stage.colony.name, PrivateKey::from_hex(&key).unwrap())
}

fn ask(stage: &Stage, name: &str, namespace: &str, more: &Value) -> FunctionSpec {
    let mut spec = json!({
        "executorType": "intruder", "image": "i:1", "nodeSelector": { "colonies.io/node": "kwok" },
        "tolerations": [{ "operator": "Exists" }], "colony": stage.colony.name,
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    FunctionSpec::new(&stage.colony.name, CONTROLLER_EXECUTOR_TYPE, RECONCILE_FUNCTION)
        .unwrap()
        .kwarg("apiVersion", "compute.colonies.io/v1")
        .kwarg("kind", "ExecutorDeployment")
        .kwarg("metadata", json!({ "name": name, "namespace": namespace }))
        .kwarg("spec", spec)
}

/// A tenant reads the key of an executor, and is thereby a member: what is asked for in its name is refused and answered.
#[tokio::test]
async fn a_member_gets_no_more_in_the_cluster_than_the_colony_lists() {
    let connection = connect_with_crds().await;
    with_operator_beside(&connection, "doors-member", "doors-tenant", async |stage, tenants| {
        let fleets: Api<ExecutorDeployment> = tenants.api();
        let mine = executor_deployment("mine", &stage.colony.name, &json!({ "replicas": 1 }));
        fleets.create(&PostParams::default(), &mine).await.unwrap();
        object::until(&fleets, "mine", "is ready", |object: &ExecutorDeployment| {
            object.status.as_ref().is_some_and(|status| status.is_true("Ready"))
        })
        .await;
        let member = member(stage, tenants, "mine").await;
        let (own, theirs) = (stage.namespace.name.as_str(), tenants.name.as_str());
        let secret = stage.colony.name.as_str();
        let plain = json!({});
        let refused = async |name: &str, asked: FunctionSpec| {
            let id = member.submit(&asked).await.unwrap().id;
            let process = until_ended(&member, &id, SOON).await;
            assert_eq!(process.state, ProcessState::Failed, "{name}: {process:?}");
            for api in [stage.api::<ExecutorDeployment>(), tenants.api()] {
                assert!(api.get_opt(name).await.unwrap().is_none(), "{name} is there");
            }
            process.errors.join(" ")
        };
        // By default nothing is made.
        let told = refused("closed", ask(stage, "closed", theirs, &plain)).await;
        assert!(told.contains("inbound"), "{told}");

        let colonies: Api<Colony> = Api::all(stage.namespace.kubernetes.calls.clone());
        let open = json!({ "inbound": { "policy": "Accept", "namespaces": [theirs] } });
        object::change(&colonies, &stage.colony.name, open).await.unwrap();
        let accepted = member.submit(&ask(stage, "open", theirs, &plain)).await.unwrap().id;
        object::until(&fleets, "open", "is there", |_: &ExecutorDeployment| true).await;

        for (index, namespace) in [
            own,
            "kube-system",
            "no-such-namespace",
            "..",
            "",
            &format!("{own}/secrets/{secret}"),
            &format!("{own}%2fsecrets%2f{secret}"),
            &format!("{theirs}/../{own}"),
        ]
        .into_iter()
        .enumerate()
        .filter(|(_, namespace)| !namespace.is_empty())
        {
            let name = format!("into-{index}");
            refused(&name, ask(stage, &name, namespace, &plain)).await;
        }
        for (name, more) in [
            ("secret", json!({ "config": { "envFrom": [{ "secretRef": { "name": "s" } }] } })),
            ("map", json!({ "config": { "envFrom": [{ "configMapRef": { "name": "s" } }] } })),
            ("mounted", json!({ "config": { "volumes": [{ "source": "secret/s", "target": "/s" }] } })),
            (
                "claim",
                json!({ "config": { "volumes": [{ "source": "persistentVolumeClaim/s", "target": "/s" }] } }),
            ),
            ("node", json!({ "config": { "volumes": [{ "source": "/etc", "target": "/s" }] } })),
            ("account", json!({ "serviceAccountName": "default" })),
            ("template", json!({ "template": { "spec": { "hostPID": true } } })),
            ("many", json!({ "replicas": 1_000_000 })),
            ("types", json!({ "executorType": CONTROLLER_EXECUTOR_TYPE })),
        ] {
            refused(name, ask(stage, name, theirs, &more)).await;
        }
        // One that is too large to be read is answered by its name, and does not keep the next from its answer.
        let failed = member.statistics().await.unwrap().failed;
        let large = ask(stage, "large", theirs, &plain).kwarg("padding", "x".repeat(9 << 20));
        assert!(matches!(member.submit(&large).await, Err(Error::TooLarge { first: Some(_), .. })));
        eventually("what is too large is answered", SOON, async || {
            let now = member.statistics().await.map_err(|error| error.to_string())?.failed;
            (now > failed).then_some(()).ok_or_else(|| format!("{now} have failed"))
        })
        .await;
        // The fleets of others are not changed either.
        refused("none", ask(stage, "mine", theirs, &json!({ "replicas": 0 }))).await;
        let mine = fleets.get("mine").await.unwrap();
        assert_eq!((mine.spec.replicas, mine.labels().get("colonies.io/origin")), (1, None));
        until_ended(&member, &accepted, SOON).await;
        // Each is answered once, and no more is said of it.
        let log = stage.operator.log();
        let lines = log.lines().filter(|line| line.contains("into-5")).count();
        assert!(lines < 10, "{lines} lines about one process");
    })
    .await;
}

/// Whether the API server takes it; nothing is kept.
async fn create<K>(client: &Client, namespace: &str, object: Value) -> Result<(), String>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&dry, &object).await.map(drop).map_err(|error| error.to_string())
}

fn call(executor_type: &str) -> Value {
    json!({ "function": "f", "conditions": { "executorType": executor_type } })
}

fn object(kind: &str, spec: &Value) -> Value {
    let group = if kind == "ExecutorDeployment" { "compute.colonies.io/v1" } else { "colonies.io/v1" };
    json!({ "apiVersion": group, "kind": kind, "metadata": { "name": "one" }, "spec": spec })
}

fn fleet() -> Value {
    object("ExecutorDeployment", &json!({ "executorType": "t", "image": "i:1" }))
}

/// Whoever has work for the operator's own types has it do what it does for a colony.
async fn the_operators_types_are_reserved(client: &Client, within: &str) {
    for reserved in ["executor-deployment-controller", "kubernetes-reconciler"] {
        let call = call(reserved);
        let mut node = call.clone();
        node["name"] = json!("a");
        let job = json!({ "name": "A", "function": { "name": "f", "executorType": reserved } });
        let mut request = json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "one" },
            "spec": { "request-uid": "one", "job": "JOB1", "state": "REQUESTED" },
        });
        request["metadata"]["annotations"] = json!({ "colonies.io/executor-type": reserved });
        let mut typed = fleet();
        typed["spec"]["executorType"] = json!(reserved);
        let cron = |template: &str, spec: &Value| {
            object("ColonyCron", &json!({ "schedule": "@daily", template: { "spec": spec } }))
        };
        for answer in [
            create::<ExecutorDeployment>(client, within, typed).await,
            create::<ColonyProcess>(client, within, object("ColonyProcess", &call)).await,
            create::<ColonyWorkflow>(client, within, object("ColonyWorkflow", &json!({ "nodes": [node] })))
                .await,
            create::<ColonyCron>(client, within, cron("processTemplate", &call)).await,
            create::<ColonyCron>(client, within, cron("workflowTemplate", &json!({ "nodes": [node] }))).await,
            create::<RequestFlow>(client, within, object("RequestFlow", &json!({ "jobs": [job] }))).await,
            create::<RequestState>(client, within, request).await,
        ] {
            let error = answer.unwrap_err();
            assert!(error.contains("reserved for the operator"), "{error}");
        }
    }
}

/// Status, labels of namespaces, connections and definitions.
async fn what_is_the_operators_is_out_of_reach(client: &Client, namespace: &TestNamespace) {
    let within = namespace.name.as_str();
    let admin = |kind: &str, value: Value| Patch::Merge(json!({ kind: value }));
    let made: ExecutorDeployment = serde_json::from_value(fleet()).unwrap();
    namespace.api().create(&PostParams::default(), &made).await.unwrap();
    let process: ColonyProcess = serde_json::from_value(object("ColonyProcess", &call("t"))).unwrap();
    namespace.api().create(&PostParams::default(), &process).await.unwrap();
    let apply = PatchParams::default();
    let status = admin("status", json!({ "mirror": { "processId": "p" }, "processId": "p" }));
    let fleets: Api<ExecutorDeployment> = Api::namespaced(client.clone(), within);
    let processes: Api<ColonyProcess> = Api::namespaced(client.clone(), within);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let label = admin("metadata", json!({ "labels": { "colonies.io/inbound": "privileged" } }));
    let colonies: Api<Colony> = Api::all(client.clone());
    let definitions: Api<ResourceDefinition> = Api::all(client.clone());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
    let elsewhere: Api<ExecutorDeployment> = Api::namespaced(client.clone(), "default");
    for (what, answer) in [
        ("status of a fleet", fleets.patch_status("one", &apply, &status).await.map(drop)),
        ("status of a process", processes.patch_status("one", &apply, &status).await.map(drop)),
        ("the label of the namespace", namespaces.patch(within, &apply, &label).await.map(drop)),
        ("a Colony", colonies.patch("any", &apply, &admin("spec", json!({}))).await.map(drop)),
        ("a definition", definitions.delete("any", &DeleteParams::default()).await.map(drop)),
        ("a Secret of others", secrets.get("any").await.map(drop)),
        ("a fleet elsewhere", elsewhere.create(&PostParams::default(), &made).await.map(drop)),
    ] {
        match answer {
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// With a token of its own, and the roles and policies that the chart renders.
#[tokio::test]
async fn a_tenant_with_edit_gets_nothing_of_the_operators() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "doors-edit", async |namespace| {
        install(&kubernetes, &namespace).await;
        install_roles(&kubernetes, &namespace).await;
        let client = tenant(&namespace).await;
        let within = namespace.name.as_str();
        eventually("the role is aggregated", SOON, async || {
            create::<ExecutorDeployment>(&client, within, fleet()).await?;
            create::<ColonyProcess>(&client, within, object("ColonyProcess", &call("t"))).await
        })
        .await;
        let refused_fleet = |change: &dyn Fn(&mut Value)| {
            let mut changed = fleet();
            change(&mut changed);
            changed
        };
        eventually("the policies are enforced", SOON, async || {
            let one =
                refused_fleet(&|fleet| fleet["spec"]["template"] = json!({ "spec": { "hostPID": true } }));
            match create::<ExecutorDeployment>(&client, within, one).await {
                Err(error) if error.contains("hostPID") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;

        // What the operator notes down.
        for (pointer, value) in [
            ("annotations", json!({ "colonies.io/process": "p" })),
            ("annotations", json!({ "colonies.io/process-spec": "{}" })),
            ("annotations", json!({ "colonies.io/restarted-for": "p" })),
            ("labels", json!({ "colonies.io/origin": "blueprint" })),
        ] {
            let noted = refused_fleet(&|fleet| fleet["metadata"][pointer] = value.clone());
            let error = create::<ExecutorDeployment>(&client, within, noted).await.unwrap_err();
            assert!(error.contains("is written by the operator"), "{value}: {error}");
        }

        the_operators_types_are_reserved(&client, within).await;
        what_is_the_operators_is_out_of_reach(&client, &namespace).await;
    })
    .await;
}

/// What a node puts out is what those that wait for it are given: neither is read, and all that they are is known.
#[tokio::test]
async fn an_output_of_20_mib_of_a_node_holds_up_no_workflow() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "doors-huge-node", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let node = |name: &str, kind: &str, after: &[&str]| json!({ "name": name, "function": "f", "dependencies": after, "conditions": { "executorType": kind } });
        let nodes = [node("first", "encoder", &[]), node("second", "unserved", &["first"])];
        let graph = json!({ "metadata": { "name": "huge" }, "spec": { "colony": stage.colony.name, "nodes": nodes } });
        stage.create::<ColonyWorkflow>(graph).await.unwrap();
        let first = assigned(&executor).await.id;
        let closed = executor.close_successful(&first, &[json!("x".repeat(20 << 20))]).await;
        assert!(closed.is_ok() || matches!(closed, Err(Error::TooLarge { .. })), "{closed:?}");
        let told = stage
            .until_status::<ColonyWorkflow>("huge", "knows both nodes", |status| {
                let states: Vec<WorkState> = status.nodes.iter().map(|node| node.state).collect();
                let waits_for = status.nodes.last().and_then(|node| node.waits_for.as_deref());
                states == [WorkState::Succeeded, WorkState::Waiting]
                    && waits_for.is_some_and(|what| what.starts_with("an executor of type unserved"))
            })
            .await;
        assert_eq!(told.progress.as_deref(), Some("1/2"));
        stage.patch::<ColonyWorkflow>("huge", json!({ "cancel": true })).await.unwrap();
        stage.until_state::<ColonyWorkflow>("huge", WorkState::Cancelled).await;
        stage.api::<ColonyWorkflow>().delete("huge", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyWorkflow>("huge").await;
    })
    .await;
}

/// One output that is too large is told by its name; it holds up neither other work nor its own deletion.
#[tokio::test]
async fn an_output_of_20_mib_is_told_and_holds_up_no_other() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "doors-huge", async |stage| {
        let executor = stage.colony.executor("worker", "encoder").await;
        let submit = async |name: &str| {
            let object = json!({
                "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name },
                "spec": { "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" } },
            });
            stage.create::<ColonyProcess>(object).await.unwrap();
            assigned(&executor).await.id
        };
        let huge = submit("huge").await;
        let small = submit("small").await;
        let closed = executor.close_successful(&huge, &[json!("x".repeat(20 << 20))]).await;
        assert!(closed.is_ok() || matches!(closed, Err(Error::TooLarge { .. })), "{closed:?}");
        executor.close_successful(&small, &[json!(1)]).await.unwrap();
        stage.until_state::<ColonyProcess>("small", WorkState::Succeeded).await;
        // That it has ended is known, and that its output is not all there.
        let told = stage.until_state::<ColonyProcess>("huge", WorkState::Succeeded).await;
        assert!(told.output_truncated && told.output.is_empty(), "{told:?}");
        // What comes after it is read as before.
        let after = submit("after").await;
        executor.close_successful(&after, &[json!(2)]).await.unwrap();
        stage.until_state::<ColonyProcess>("after", WorkState::Succeeded).await;
        let objects: Api<ColonyProcess> = stage.api();
        objects.delete("huge", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyProcess>("huge").await;
    })
    .await;
}
