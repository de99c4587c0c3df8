//! Logs and whole outputs for users who have the role `edit` in a namespace and no key of a colony: through the service proxy of
//! the API server, with the roles of the chart.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command as Program, Output},
};

use colonyos_operator::{
    api::{colony_process::ColonyProcess, work::WorkState},
    runtime::config::OperatorConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Resource as _,
    api::{DeleteParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::requester::release;
use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    commands::kubectl,
    environment, kinds,
    namespace::{TestNamespace, in_namespace},
    object,
    own_kind::{OwnKind, is_ready},
    stage::{SOON, Stage, with_configured_operator},
    wait::eventually,
};

/// An address of this machine that is not its own alone: the API server passes nothing on to loopback.
fn host() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: this asks for the route.
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// The roles of the chart and its Service, for the operator of the stage, which is no pod.
async fn install(stage: &Stage, port: u16) -> String {
    let (release, own) = (release(&stage.namespace), stage.namespace.name.as_str());
    let helm = environment::variable("HELM").unwrap_or_else(|| "helm".to_owned());
    let output = Program::new(&helm)
        .args([
            "template",
            &release,
            "charts/colonyos-operator",
            "--namespace",
            own,
            "--kube-version",
            "1.36.0",
        ])
        .args([
            "--show-only",
            "templates/rbac-users.yaml",
            "--show-only",
            "templates/rbac-serving.yaml",
            "--show-only",
            "templates/conversion-service.yaml",
            "--show-only",
            "templates/rbac-kinds.yaml",
            "--set",
            &format!("userKinds.groups={{{}}}", kinds::group(&stage.namespace)),
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let namespaces: Api<Namespace> = Api::all(stage.namespace.kubernetes.calls.clone());
    let owner = namespaces.get(own).await.unwrap().owner_ref(&()).unwrap();
    let mut service = String::new();
    let mut objects = Vec::new();
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        let mut object: Value = serde_norway::from_str(document).unwrap();
        if object["metadata"]["namespace"].is_null() {
            object["metadata"]["ownerReferences"] = json!([owner]);
        }
        if object["kind"] == "Service" {
            service = object["metadata"]["name"].as_str().unwrap().to_owned();
            object["spec"].as_object_mut().unwrap().remove("selector");
        }
        objects.push(object);
    }
    // The service proxy goes by Endpoints, and leads to addresses of pods alone.
    let target = json!({ "kind": "Pod", "namespace": own, "name": "operator" });
    objects.push(json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": service, "namespace": own },
        "subsets": [{ "addresses": [{ "ip": host(), "targetRef": target }],
                      "ports": [{ "name": "results", "port": port }] }],
    }));
    objects.push(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "operator", "namespace": own },
        "spec": { "schedulingGates": [{ "name": "example.com/never" }],
                  "containers": [{ "name": "operator", "image": "none" }] },
    }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    fs::write(&file, list.to_string()).unwrap();
    kubectl(&["create", "-f", file.to_str().unwrap()]);
    let status = json!({ "status": { "podIP": host(), "podIPs": [{ "ip": host() }] } }).to_string();
    kubectl(&["-n", own, "patch", "pod", "operator", "--subresource=status", "--type=merge", "-p", &status]);
    service
}

/// A user with a role in a namespace, and nothing else: a token, and a kubeconfig with it.
struct User {
    token: String,
    kubeconfig: PathBuf,
}

impl User {
    fn with_role(role: &str, namespace: &TestNamespace, folder: &Path) -> Self {
        let own = ["-n", namespace.name.as_str()];
        kubectl(&[&own[..], &["create", "serviceaccount", role]].concat());
        let account = format!("--serviceaccount={}:{role}", namespace.name);
        let role_flag = format!("--clusterrole={role}");
        kubectl(&[&own[..], &["create", "rolebinding", role, &role_flag, &account]].concat());
        let token = kubectl(&[&own[..], &["create", "token", role]].concat()).trim().to_owned();
        let text = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
        let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
        kubeconfig["users"][0]["user"] = json!({ "token": token });
        let file = folder.join(format!("{role}-{}", namespace.name));
        fs::write(&file, kubeconfig.to_string()).unwrap();
        Self { token, kubeconfig: file }
    }
}

/// A process in a namespace, which an executor is assigned, writes about, and closes with an output.
async fn run(stage: &Stage, namespace: &TestNamespace, output: &str) {
    let object = json!({
        "metadata": { "name": "encode" },
        "spec": { "colony": stage.colony.name, "function": "encode", "args": ["an argument"],
                  "conditions": { "executorType": "encoder" } },
    });
    let api = namespace.api::<ColonyProcess>();
    object::create(&api, object).await.unwrap();
    let executor = stage.colony.executor(&format!("worker-{}", namespace.name), "encoder").await;
    let process = assigned(&executor).await;
    executor.add_log(&process.id, "half\n").await.unwrap();
    executor.add_log(&process.id, "done\n").await.unwrap();
    executor.close_successful(&process.id, &[json!(output)]).await.unwrap();
    let is_over = |object: &ColonyProcess| {
        object.status.as_ref().is_some_and(|status| status.state == Some(WorkState::Succeeded))
    };
    object::until(&api, "encode", "has succeeded", is_over).await;
}

#[tokio::test]
async fn who_may_edit_a_namespace_reads_its_logs_and_whole_outputs() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "results-lab", async |lab| {
        in_namespace(&connection, "results-other", async |other| {
            let (conversions, results) = (free_port(), free_port());
            let configured = |configuration: &mut OperatorConfiguration| {
                configuration.watch_namespaces = vec![lab.name.clone(), other.name.clone()];
                configuration.conversion.bind_address = SocketAddr::from(([127, 0, 0, 1], conversions));
                configuration.conversion.url = Some(format!("https://127.0.0.1:{conversions}"));
                configuration.results.bind_address = Some(SocketAddr::from(([0, 0, 0, 0], results)));
            };
            with_configured_operator(&connection, "results", configured, async |stage| {
                stage.operator.wait_until_ready().await;
                let service = install(stage, results).await;
                let output = "x".repeat(100_000);
                run(stage, &lab, &output).await;
                run(stage, &other, "of others").await;
                let folder = tempfile::tempdir().unwrap();
                let editor = User::with_role("edit", &lab, folder.path());
                let viewer = User::with_role("view", &lab, folder.path());
                let place = Place { stage, service, port: results };
                place.commands(&lab, &other, &editor, &output).await;
                place.kind_of_users(&lab, &editor).await;
                place.endpoint(&lab, &other, &editor, &viewer).await;
            })
            .await;
        })
        .await;
    })
    .await;
}

struct Place<'a> {
    stage: &'a Stage,
    service: String,
    port: u16,
}

impl Place<'_> {
    async fn command(&self, user: &User, namespace: &TestNamespace, words: &[&str]) -> Output {
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let mut typed = Command::new(environment::variable("OPERATOR_BIN").as_deref().unwrap_or(built));
        typed.args(words).args(["--namespace", &namespace.name, "--kubeconfig"]).arg(&user.kubeconfig);
        if ["logs", "output", "process"].contains(&words[0]) {
            typed.args(["--operator-namespace", &self.stage.namespace.name]);
            typed.args(["--operator-service", &self.service]);
        }
        typed.kill_on_drop(true).output().await.unwrap()
    }

    /// What the user types.
    async fn commands(&self, lab: &TestNamespace, other: &TestNamespace, editor: &User, whole: &str) {
        // Aggregated roles and the proxy take a moment.
        eventually("the log is given", SOON, async || {
            let found = self.command(editor, lab, &["logs", "colonyprocess/encode"]).await;
            if !found.status.success() {
                return Err(String::from_utf8_lossy(&found.stderr).into_owned());
            }
            assert_eq!(String::from_utf8_lossy(&found.stdout), "half\ndone\n");
            Ok(())
        })
        .await;
        let found = self.command(editor, lab, &["output", "colonyprocess/encode"]).await;
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        assert!(found.stdout == whole.as_bytes(), "{} bytes", found.stdout.len());
        let found = self.command(editor, lab, &["logs", "--follow", "colonyprocess/encode"]).await;
        assert_eq!(String::from_utf8_lossy(&found.stdout), "half\ndone\n", "{found:?}");
        let process = self.command(editor, lab, &["process", "colonyprocess/encode"]).await;
        assert!(String::from_utf8_lossy(&process.stdout).contains("State      Successful"), "{process:?}");
        let refused = self.command(editor, other, &["output", "colonyprocess/encode"]).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("forbidden"), "{said}");
    }

    /// An object of a kind whose definition the user may not read.
    async fn kind_of_users(&self, lab: &TestNamespace, editor: &User) {
        let mut kind = OwnKind::of(self.stage);
        // There is no executor to clean up.
        kind.whole["spec"]["handler"].as_object_mut().unwrap().remove("cleanupFunction");
        kind.define_until_ready().await;
        let instances = Api::<DynamicObject>::namespaced_with(
            self.stage.namespace.kubernetes.calls.clone(),
            &lab.name,
            &kind.resource,
        );
        let spec = json!({ "image": "m", "framework": "onnx" });
        let object = DynamicObject::new("resnet", &kind.resource).data(json!({ "spec": spec }));
        instances.create(&PostParams::default(), &object).await.unwrap();
        let executor_type = kind.whole["spec"]["handler"]["executorType"].as_str().unwrap();
        let executor = self.stage.colony.executor("trainer", executor_type).await;
        let process = assigned(&executor).await;
        executor.add_log(&process.id, "loaded\n").await.unwrap();
        executor.close_successful(&process.id, &[json!({ "endpoint": "e", "replicas": 1 })]).await.unwrap();
        object::until(&instances, "resnet", "is ready", is_ready).await;
        // Tests at the same time have kinds of the same name.
        let plural = format!("{}.{}", kind.resource.plural, kind.resource.group);
        let object = format!("{plural}/resnet");
        let listing = self.command(editor, lab, &["get", "resourcedefinitions"]).await;
        assert!(!listing.status.success(), "{listing:?}");
        for (words, says) in [
            (vec!["get", &object], "resnet"),
            (vec!["get", &plural], "resnet"),
            (vec!["explain", &object], "Ready"),
            (vec!["logs", &object], "loaded\n"),
            (vec!["output", &object], "\"endpoint\":\"e\""),
        ] {
            let found = self.command(editor, lab, &words).await;
            let said = String::from_utf8_lossy(&found.stdout);
            assert!(found.status.success() && said.contains(says), "{words:?}: {found:?}");
        }
        let unknown = self.command(editor, lab, &["get", "nonsense/resnet"]).await;
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("kubectl api-resources"), "{unknown:?}");
        instances.delete("resnet", &DeleteParams::default()).await.unwrap();
        object::until_gone(&instances, "resnet").await;
        kind.remove().await;
    }

    async fn get(&self, token: Option<&str>, path: &str) -> (u16, Value) {
        // As a client in the cluster does: the certificate is signed by the authority in the Secret.
        let secrets = self.stage.api::<Secret>();
        let secret = secrets.get("colonyos-operator-conversion").await.unwrap();
        let authority = reqwest::Certificate::from_pem(&secret.data.unwrap()["ca.crt"].0).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
        let mut request = client.get(format!("https://127.0.0.1:{}{path}", self.port));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// What the operator answers, whoever asks.
    async fn endpoint(&self, lab: &TestNamespace, other: &TestNamespace, editor: &User, viewer: &User) {
        let of = |namespace: &TestNamespace, part: &str| {
            format!("/apis/colonies.io/v1/namespaces/{}/colonyprocesses/encode/{part}", namespace.name)
        };
        let (status, given) = self.get(Some(&editor.token), &of(lab, "output")).await;
        assert_eq!((status, given["state"].as_i64()), (200, Some(2)), "{given}");
        assert!(!given.to_string().contains("an argument"), "arguments may come from Secrets");
        for (what, token, path, status, says) in [
            (
                "another namespace",
                Some(&editor.token),
                of(other, "output"),
                403,
                "may not get colonyprocesses.colonies.io/output",
            ),
            (
                "another namespace",
                Some(&editor.token),
                of(other, "log"),
                403,
                "may not get colonyprocesses.colonies.io/log",
            ),
            ("no right to edit", Some(&viewer.token), of(lab, "output"), 403, "ClusterRole edit"),
            ("no token", None, of(lab, "output"), 401, "bearer token"),
            (
                "an unknown token",
                Some(&"a.b.c".to_owned()),
                of(lab, "output"),
                401,
                "does not know the token",
            ),
            ("no such part", Some(&editor.token), of(lab, "status"), 404, "log and output"),
        ] {
            let (found, said) = self.get(token.map(String::as_str), &path).await;
            assert_eq!(found, status, "{what}: {said}");
            assert!(said["message"].as_str().unwrap().contains(says), "{what}: {said}");
        }
        let admin = kubectl(&["-n", &lab.name, "create", "token", "edit"]);
        for (path, says) in [
            (format!("/apis/apps/v1/namespaces/{}/deployments/encode/log", lab.name), "may not get"),
            (
                format!("/apis/colonies.io/v1/namespaces/{}/colonyprocesses/..%2Fx/log", lab.name),
                "cannot be a name",
            ),
        ] {
            let (status, said) = self.get(Some(admin.trim()), &path).await;
            assert!(status >= 400 && said["message"].as_str().unwrap().contains(says), "{path}: {said}");
        }
    }
}
