//! The operator's pod, its configuration, a first connection, and the kinds.

use std::{collections::BTreeMap, fs, path::Path};

use colonyos_operator::{
    api::{
        colony::{Colony, NamespacesFrom},
        names::{
            self, APP_MANAGED_BY_LABEL, DEFAULT_COLONY_ANNOTATION, IDENTITY_LABEL, IDENTITY_PER_POD,
            IDENTITY_WEBHOOK, RESULTS_PORT,
        },
    },
    runtime::config::{self, LogFormat, OperatorConfiguration},
};
use serde_json::{Value, json};

use super::helm::{DEFINITIONS, NAMESPACE, OPERATOR, RELEASE, helm, of_kind, only, parse, render};

/// Everything that can be switched on is.
pub fn everything() -> Value {
    json!({
        "image": {"repository": "registry.example.com/operator", "digest": format!("sha256:{}", "0".repeat(64))},
        "imagePullSecrets": [{"name": "pull"}],
        "replicas": 2,
        "watchNamespaces": ["red", "green"],
        "configuration": {
            "concurrency": 8,
            "leaderElection": {"leaseName": "blue-lease"},
            "hostPaths": {"allowed": [{"prefix": "/data/models"}]},
            "serviceAccounts": {"allowed": ["trainer"]},
            "executorResources": {"limits": {"memory": "2Gi"}},
            "logging": {"format": "text", "level": "debug"},
        },
        "colony": {
            "create": true,
            "name": "mine",
            "server": {"host": "colonies.example.com", "port": 443},
            "colonyName": "dev",
            "location": "edge",
            "credentials": {"existingSecret": "keys"},
        },
        "metrics": {"service": {"enabled": true}},
        "podDisruptionBudget": {"enabled": true},
        "podIdentities": {"enabled": true},
        "gate": {"image": "registry.example.com/gate:1"},
        "networkPolicy": {"enabled": true, "metricsFrom": [{"namespaceSelector": {}}]},
        "env": [{"name": "RUST_LOG", "value": "info"}],
        "podLabels": {"team": "a"},
        "podAnnotations": {"note": "b"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "high",
        "topologySpreadConstraints": [{"maxSkew": 1}],
    })
}

#[test]
fn helm_finds_no_fault_with_the_charts() {
    let said = helm(&["lint", "--strict", "--kube-version", "1.36.0", OPERATOR, DEFINITIONS]).unwrap();
    assert!(said.contains("2 chart(s) linted, 0 chart(s) failed"), "{said}");
}

/// What the *restricted* pod security standard demands, plus a root file system that cannot be written to.
#[test]
fn the_operators_pod_is_restricted() {
    for values in [json!({}), everything()] {
        let objects = render(OPERATOR, &values).unwrap();
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[field].is_null(), "{field}");
        }
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(volume["configMap"].is_object(), "{volume}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            assert!(context["privileged"].is_null());
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
    }
}

/// The chart and the operator agree on the configuration file: the same parser reads it as in the pod.
#[test]
fn the_operator_understands_the_configuration_that_the_chart_writes() {
    let read = |values: &Value| -> OperatorConfiguration {
        let objects = render(OPERATOR, values).unwrap();
        let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned();
        config::parse(&text, Path::new("config.yaml")).unwrap()
    };
    let bare = json!({"results": {"enabled": false}});
    assert_eq!(read(&bare), OperatorConfiguration::default());
    let configuration = read(&everything());
    assert_eq!(configuration.watch_namespaces, ["red", "green"]);
    assert_eq!(configuration.concurrency, 8);
    assert_eq!(configuration.leader_election.lease_name, "blue-lease");
    assert_eq!(configuration.host_paths.allowed[0].prefix, "/data/models");
    assert!(configuration.service_accounts.allows("trainer"));
    assert_eq!(configuration.executor_resources.limits["memory"].0, "2Gi");
    assert_eq!(configuration.logging.format, LogFormat::Text);
    assert_eq!(configuration.gate.image, "registry.example.com/gate:1");
}

/// A fleet is drained by the program that was installed, unless another is named.
#[test]
fn the_gate_is_the_operator_itself() {
    let objects = render(OPERATOR, &json!({})).unwrap();
    let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let configuration = config::parse(text, Path::new("config.yaml")).unwrap();
    let operator = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(Some(configuration.gate.image.as_str()), operator.as_str());
}

/// What the chart writes into the configuration itself, and users cannot set.
const WRITTEN_BY_THE_CHART: [&str; 11] = [
    "/conversion/bindAddress",
    "/conversion/secretName",
    "/conversion/serviceName",
    "/conversion/url",
    "/podIdentities/webhookConfiguration",
    "/gate/image",
    "/http/bindAddress",
    "/kindPolicies",
    "/results/bindAddress",
    "/secretNamespaces",
    "/watchNamespaces",
];

/// The fields of a schema by path, with their bounds.
fn fields(schema: &Value, whole: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    let target = schema["$ref"].as_str().and_then(|target| whole.pointer(target.trim_start_matches('#')));
    let schema = target.unwrap_or(schema);
    match schema["properties"].as_object() {
        Some(properties) => {
            for (name, field) in properties {
                fields(field, whole, &format!("{path}/{name}"), found);
            }
        }
        None => drop(found.insert(path.to_owned(), json!([schema["minimum"], schema["maximum"]]))),
    }
}

/// A key that the schema does not know cannot be set at all.
#[test]
fn every_key_of_the_configuration_can_be_set() {
    let of_the_operator = serde_json::to_value(schemars::schema_for!(OperatorConfiguration)).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(OPERATOR).join("values.schema.json");
    let of_the_chart: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
    fields(&of_the_operator, &of_the_operator, "", &mut expected);
    fields(&of_the_chart["properties"]["configuration"], &of_the_chart, "", &mut found);
    for written in WRITTEN_BY_THE_CHART {
        assert!(expected.remove(written).is_some(), "{written}");
    }
    assert_eq!(found, expected);
    let values = json!({"enabled": true, "configuration": {"clusterSelector": {"team": "a"}}});
    let objects = render(OPERATOR, &values).unwrap();
    let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let read = config::parse(text, Path::new("config.yaml")).unwrap();
    assert_eq!(read.cluster_selector["team"], "a");
}

/// Probes must meet the operator where it listens.
#[test]
fn probes_ask_where_the_operator_listens() {
    let objects = render(OPERATOR, &json!({})).unwrap();
    let container = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(
        *port,
        json!({"name": "http", "containerPort": OperatorConfiguration::default().http.bind_address.port()})
    );
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "http"}));
    }
}

/// Pods get names for their executors from the endpoint that the operator serves, and nothing of it is there unless it is wanted.
#[test]
fn pods_are_named_by_the_operator_where_that_is_wanted() {
    let plain = render(OPERATOR, &json!({})).unwrap();
    assert!(of_kind(&plain, "MutatingWebhookConfiguration").is_empty());
    let may_write_pods = |objects: &[Value]| {
        let given = of_kind(objects, "ClusterRole").into_iter();
        let mut rules = given.flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default());
        rules.any(|rule| rule["resources"] == json!(["pods"]) && rule["verbs"] == json!(["patch", "delete"]))
    };
    assert!(!may_write_pods(&plain));
    let values = json!({"podIdentities": {"enabled": true}, "watchNamespaces": ["red"]});
    let objects = render(OPERATOR, &values).unwrap();
    assert!(may_write_pods(&objects));
    let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let read = config::parse(text, Path::new("config.yaml")).unwrap();
    let configuration = only(&objects, "MutatingWebhookConfiguration");
    let name = configuration["metadata"]["name"].as_str().map(str::to_owned);
    assert_eq!(read.pod_identities.webhook_configuration, name);
    let webhook = &configuration["webhooks"][0];
    assert_eq!(webhook["name"], IDENTITY_WEBHOOK);
    let service = &webhook["clientConfig"]["service"];
    assert_eq!(
        (service["name"].as_str(), &service["path"]),
        (read.conversion.service_name.as_deref(), &json!("/pods"))
    );
    assert_eq!(only(&objects, "Service")["metadata"]["name"], service["name"]);
    assert_eq!(
        webhook["objectSelector"]["matchLabels"],
        json!({APP_MANAGED_BY_LABEL: names::OPERATOR, IDENTITY_LABEL: IDENTITY_PER_POD})
    );
    assert_eq!(webhook["namespaceSelector"]["matchExpressions"][0]["values"], json!(["red"]));
    assert_eq!(webhook["failurePolicy"], "Ignore", "a pod that is not named waits behind its gate");
}

/// Where kinds may be made up, API servers reach every replica by a Service that the operator knows by its name; elsewhere
/// nothing listens.
#[test]
fn conversions_are_reached_where_kinds_may_be_made_up() {
    let mut values = json!({"networkPolicy": {"enabled": true}, "userKinds": {"groups": ["ml.example.com"]},
                            "results": {"enabled": false},
                            "configuration": {"conversion": {"certificateSeconds": 3600}}});
    let objects = render(OPERATOR, &values).unwrap();
    let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let conversion = config::parse(text, Path::new("config.yaml")).unwrap().conversion;
    assert_eq!(conversion.certificate_seconds, 3600);
    let service = only(&objects, "Service");
    assert_eq!(service["metadata"]["name"], conversion.service_name.unwrap().as_str());
    assert!(conversion.secret_name.starts_with(RELEASE));
    let deployment = &only(&objects, "Deployment")["spec"];
    assert_eq!(service["spec"]["selector"], deployment["selector"]["matchLabels"]);
    let port = &service["spec"]["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(443), &json!("conversion")));
    let listened = conversion.bind_address.port();
    let ports = &deployment["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(ports[1], json!({"name": "conversion", "containerPort": listened}));
    let policy = &only(&objects, "NetworkPolicy")["spec"];
    assert_eq!(policy["ingress"], json!([{"ports": [{"port": listened}]}]));
    assert!(
        policy["egress"].as_array().unwrap().iter().any(|rule| rule["ports"] == json!([{"port": listened}]))
    );

    values["userKinds"]["groups"] = json!([]);
    let objects = render(OPERATOR, &values).unwrap();
    assert!(of_kind(&objects, "Service").is_empty());
    assert_eq!(only(&objects, "NetworkPolicy")["spec"]["ingress"], json!([]));
    let ports = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(ports.as_array().unwrap().len(), 1);
}

/// Such as the authority of the collector's certificate.
#[test]
fn further_volumes_are_mounted() {
    let volume = json!({"name": "authority", "secret": {"secretName": "authority"}});
    let mount = json!({"name": "authority", "mountPath": "/authority"});
    let objects = render(OPERATOR, &json!({"volumes": [volume], "volumeMounts": [mount]})).unwrap();
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][1], volume);
    assert_eq!(pod["containers"][0]["volumeMounts"][1], mount);
}

/// The collector of traces is reached where a policy closes all else.
#[test]
fn traces_leave_by_the_port_of_their_collector() {
    let ports = |configuration: Value| {
        let values = json!({"networkPolicy": {"enabled": true}, "configuration": configuration});
        let objects = render(OPERATOR, &values).unwrap();
        let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned();
        config::parse(&text, Path::new("config.yaml")).unwrap();
        let egress = only(&objects, "NetworkPolicy")["spec"]["egress"].as_array().unwrap().clone();
        egress.last().unwrap()["ports"].clone()
    };
    let closed = ports(json!({}));
    for (endpoint, port) in
        [("http://collector:4318", 4318), ("https://o.example.com/x", 443), ("http://collector", 80)]
    {
        let traces = json!({"traces": {"endpoint": endpoint}});
        assert_eq!(ports(traces), json!([{"port": port}]), "{endpoint}");
    }
    assert_eq!(ports(json!({"traces": {"endpoint": ""}})), closed);
    let refused = render(OPERATOR, &json!({"configuration": {"traces": {"endpoint": "collector:4318"}}}));
    assert!(refused.is_err());
}

/// Users reach the operator by the service proxy of the API server, at a port of its own, and by no other way.
#[test]
fn logs_and_outputs_are_reached_through_the_api_server() {
    let objects = render(OPERATOR, &json!({"networkPolicy": {"enabled": true}})).unwrap();
    let text = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let configuration = config::parse(text, Path::new("config.yaml")).unwrap();
    let listened = configuration.results.bind_address.unwrap().port();
    let service = only(&objects, "Service");
    let name = service["metadata"]["name"].as_str().unwrap();
    assert_eq!(configuration.conversion.service_name.as_deref(), Some(name), "the certificate is for it");
    assert_eq!(
        service["spec"]["ports"][1],
        json!({"name": RESULTS_PORT, "port": listened, "targetPort": "results"})
    );
    let ports = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(ports[2], json!({"name": "results", "containerPort": listened}));
    let ingress = &only(&objects, "NetworkPolicy")["spec"]["ingress"];
    assert_eq!(ingress[0]["ports"][1], json!({"port": listened}));
    let proxies = |objects: &[Value]| -> Vec<Value> {
        let rules = objects.iter().filter_map(|object| object["rules"].as_array()).flatten();
        rules.filter(|rule| rule["resources"] == json!(["services/proxy"])).cloned().collect()
    };
    let wanted = format!("https:{name}:{RESULTS_PORT}");
    assert_eq!(
        proxies(&objects),
        [
            json!({"apiGroups": [""], "resources": ["services/proxy"], "resourceNames": [wanted], "verbs": ["get"]})
        ]
    );
    let without = render(OPERATOR, &json!({"results": {"enabled": false}})).unwrap();
    assert!(proxies(&without).is_empty() && of_kind(&without, "Service").is_empty());
    let reviews = |object: &Value| object.to_string().contains("tokenreviews");
    assert!(objects.iter().any(reviews) && !without.iter().any(reviews));
}

/// A new configuration reaches the operator only in a new pod.
#[test]
fn another_configuration_makes_another_pod() {
    let sum = |values: Value| {
        let objects = render(OPERATOR, &values).unwrap();
        let template = &only(&objects, "Deployment")["spec"]["template"];
        template["metadata"]["annotations"]["checksum/configuration"].as_str().unwrap().to_owned()
    };
    assert_ne!(sum(json!({})), sum(json!({"configuration": {"concurrency": 9}})));
    assert_eq!(sum(json!({})), sum(json!({"replicas": 2})));
}

#[test]
fn a_digest_pins_the_image() {
    let image = |values: &Value| {
        let objects = render(OPERATOR, values).unwrap();
        only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(image(&json!({})), format!("colonyos-operator:{version}"));
    assert_eq!(image(&json!({"image": {"tag": "dev"}})), "colonyos-operator:dev");
    assert_eq!(image(&everything()), format!("registry.example.com/operator@sha256:{}", "0".repeat(64)));
}

#[test]
fn everything_is_named_after_the_release_and_stands_in_its_namespace() {
    for object in render(OPERATOR, &everything()).unwrap() {
        let (kind, metadata) = (object["kind"].as_str().unwrap(), &object["metadata"]);
        if kind != "Colony" {
            assert!(metadata["name"].as_str().unwrap().starts_with(RELEASE), "{kind} {metadata}");
        }
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], RELEASE, "{kind} {metadata}");
        let is_role = matches!(kind, "Role" | "RoleBinding");
        if let Some(namespace) = metadata["namespace"].as_str().filter(|_| !is_role) {
            assert_eq!(namespace, NAMESPACE, "{kind}");
        }
    }
}

/// The object is read with the operator's own type, which has no field that it does not know.
#[test]
fn a_first_connection_can_be_made_with_the_chart() {
    let mut values = everything();
    values["colony"]["credentials"] = json!({"colonyPrvKey": "a".repeat(64)});
    let objects = render(OPERATOR, &values).unwrap();
    let colony: Colony = serde_json::from_value(only(&objects, "Colony").clone()).unwrap();
    assert_eq!(colony.metadata.name.as_deref(), Some("mine"));
    assert_eq!(colony.metadata.annotations.unwrap()[DEFAULT_COLONY_ANNOTATION], "true");
    assert_eq!((colony.spec.server.host.as_str(), colony.spec.server.port), ("colonies.example.com", 443));
    assert!(!colony.spec.server.insecure);
    assert_eq!(colony.spec.colony_name, "dev");
    assert_eq!(colony.spec.location.as_deref(), Some("edge"));
    assert_eq!(colony.spec.allowed_namespaces.from, NamespacesFrom::All);
    let secret = only(&objects, "Secret");
    assert_eq!(secret["metadata"]["name"], colony.spec.credentials_secret_name.as_str());
    assert_eq!(secret["stringData"], json!({"colonyPrvKey": "a".repeat(64)}));
}

#[test]
fn keys_that_are_in_a_secret_stay_out_of_the_chart() {
    let objects = render(OPERATOR, &everything()).unwrap();
    assert!(of_kind(&objects, "Secret").is_empty());
    assert_eq!(only(&objects, "Colony")["spec"]["credentialsSecretName"], "keys");
}

/// Each is refused with the field's name.
#[test]
fn values_that_make_no_sense_are_refused() {
    let cases = [
        (json!({"replica": 2}), "replica"),
        (json!({"configuration": {"concurrency": 0}}), "/configuration/concurrency"),
        (json!({"configuration": {"watchNamespaces": ["a"]}}), "watchNamespaces"),
        (json!({"watchNamespaces": ["No_Name"]}), "/watchNamespaces/0"),
        (json!({"secretNamespaces": ["No_Name"]}), "/secretNamespaces/0"),
        (json!({"image": {"digest": "abc"}}), "/image/digest"),
        (json!({"colony": {"create": true}}), "colony.credentials is empty"),
        (
            json!({"colony": {"create": true, "credentials": {"existingSecret": "a"}}}),
            "colony.server.host is empty",
        ),
        (json!({"colony": {"server": {"host": "https://x"}}}), "/colony/server/host"),
        (json!({"serviceAccount": {"create": false}}), "serviceAccount.name is empty"),
    ];
    for (values, expected) in cases {
        let said = render(OPERATOR, &values).expect_err(&values.to_string());
        // Older releases of Helm write paths with points.
        let found =
            said.contains(expected) || said.contains(&expected.trim_start_matches('/').replace('/', "."));
        assert!(found, "{values}: {expected:?} is not in {said:?}");
    }
}

/// Who is woken by an alert at night reads what to do.
#[test]
fn each_alert_has_a_section_about_what_to_do() {
    let metrics = json!({"service": {"enabled": true}, "serviceMonitor": {"enabled": true, "labels": {"release": "p"}},
                         "prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}});
    let objects = render(OPERATOR, &json!({"metrics": metrics})).unwrap();
    let monitor = only(&objects, "ServiceMonitor");
    assert_eq!(monitor["metadata"]["labels"]["release"], "p");
    let services = of_kind(&objects, "Service");
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let scraped = services.iter().find(|service| service["spec"]["ports"][0]["name"] == "metrics").unwrap();
    assert!(labels.iter().all(|(name, value)| scraped["metadata"]["labels"][name] == *value));
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md")).unwrap();
    let rules = &only(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"];
    let alerts: Vec<&str> =
        rules.as_array().unwrap().iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts);
    let dashboard = &of_kind(&objects, "ConfigMap")
        .into_iter()
        .find_map(|map| map["data"]["colonyos-operator.json"].as_str())
        .unwrap();
    assert!(serde_json::from_str::<Value>(dashboard).unwrap()["panels"].is_array());
    let refused = render(OPERATOR, &json!({"metrics": {"serviceMonitor": {"enabled": true}}}));
    assert!(refused.unwrap_err().contains("enable metrics.service"));
}

/// Uninstalling must not delete the objects of all users, and upgrading must reach the kinds.
#[test]
fn kinds_are_templates_that_are_kept() {
    let rendered = render(DEFINITIONS, &json!({})).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut expected: Vec<Value> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        expected.extend(parse(&fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    assert_eq!(rendered.len(), expected.len());
    for object in rendered {
        let mut without = object.clone();
        let annotations = without["metadata"].as_object_mut().unwrap().remove("annotations").unwrap();
        assert_eq!(annotations, json!({"helm.sh/resource-policy": "keep"}));
        assert!(expected.contains(&without), "{} is not as in crds/", object["metadata"]["name"]);
    }
}
