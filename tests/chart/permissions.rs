//! Who may do what: the operator's rights, those of people, and the policy between them.

use std::{collections::BTreeSet, fs, path::Path};

use colonyos_operator::api::{annotation, kind::Kind, names::COLONIES_GROUP};
use serde_json::{Value, json};

use super::helm::{NAMESPACE, OPERATOR, RELEASE, of_kind, only, render};

/// Every (group, resource, verb) that a role gives.
fn rights(role: &Value) -> BTreeSet<(String, String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut found = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                found.extend(
                    texts(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)),
                );
            }
        }
    }
    found
}

fn roles(objects: &[Value]) -> Vec<&Value> {
    [of_kind(objects, "Role"), of_kind(objects, "ClusterRole")].concat()
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> Vec<&'a Value> {
    of_kind(objects, kind).into_iter().filter(|object| object["metadata"]["name"] == name).collect()
}

/// A watch on Secrets shows every Secret there is, also to a reader of the operator's memory.
#[test]
fn no_role_lists_or_watches_secrets_or_gets_everything() {
    for values in [json!({}), json!({"watchNamespaces": ["red"]})] {
        let objects = render(OPERATOR, &values).unwrap();
        for role in roles(&objects) {
            for (group, resource, verb) in rights(role) {
                let name = &role["metadata"]["name"];
                assert!(![&group, &resource, &verb].contains(&&"*".to_owned()), "{name} gives a wildcard");
                let shows_all = resource == "secrets" && ["list", "watch"].contains(&verb.as_str());
                assert!(!shows_all, "{name} lets {verb} secrets");
                let escalates = ["escalate", "bind", "impersonate"].contains(&verb.as_str());
                assert!(!escalates, "{name} lets {verb} {resource}");
            }
        }
    }
}

/// A permission without a reason cannot be removed safely.
#[test]
fn every_rule_has_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(OPERATOR).join("templates");
    let mut rules = 0;
    let entries = [folder.clone(), folder.join("tests")].map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.contains("\nrules:\n") {
            continue;
        }
        for (above, line) in text.lines().zip(text.lines().skip(1)) {
            if line.trim_start().starts_with("- apiGroups:") {
                rules += 1;
                assert!(above.trim_start().starts_with("# "), "{}: no reason above {line:?}", path.display());
            }
        }
    }
    assert!(rules > 10, "found only {rules} rules");
}

#[test]
fn leases_other_than_its_own_are_out_of_the_operators_reach() {
    let objects =
        render(OPERATOR, &json!({"configuration": {"leaderElection": {"leaseName": "mine"}}})).unwrap();
    let name = format!("{RELEASE}-colonyos-operator");
    let role = named(&objects, "Role", &name)[0];
    for rule in role["rules"].as_array().unwrap().iter().filter(|rule| rule["resources"] == json!(["leases"]))
    {
        let is_create = rule["verbs"] == json!(["create"]);
        assert!(is_create || rule["resourceNames"] == json!(["mine"]), "{rule}");
    }
    assert!(
        roles(&objects)
            .iter()
            .filter(|role| role["kind"] == "ClusterRole")
            .all(|role| { rights(role).iter().all(|(_, resource, _)| resource != "leases") })
    );
}

/// In namespaced mode nothing namespaced is reachable in another namespace.
#[test]
fn rights_on_executors_are_given_in_the_watched_namespaces_alone() {
    let name = format!("{RELEASE}-colonyos-operator-executors");
    let everywhere = render(OPERATOR, &json!({})).unwrap();
    assert_eq!(named(&everywhere, "ClusterRoleBinding", &name).len(), 1);
    assert!(named(&everywhere, "RoleBinding", &name).is_empty());

    let objects = render(OPERATOR, &json!({"watchNamespaces": ["red", "green"]})).unwrap();
    assert!(named(&objects, "ClusterRoleBinding", &name).is_empty());
    let bindings = named(&objects, "RoleBinding", &name);
    let namespaces: Vec<_> = bindings.iter().map(|binding| &binding["metadata"]["namespace"]).collect();
    assert_eq!(namespaces, ["red", "green"]);
    for binding in bindings {
        let account = json!([{"kind": "ServiceAccount", "name": format!("{RELEASE}-colonyos-operator"), "namespace": NAMESPACE}]);
        assert_eq!(binding["subjects"], account);
    }
    // What is left for the whole cluster has no namespace.
    for binding in of_kind(&objects, "ClusterRoleBinding") {
        let role = named(&objects, "ClusterRole", binding["roleRef"]["name"].as_str().unwrap())[0];
        for (group, resource, _) in rights(role) {
            assert!(
                group == COLONIES_GROUP || resource == "namespaces" || resource.ends_with("reviews"),
                "{group}/{resource} has a namespace"
            );
        }
    }
}

/// A list of namespaces keeps the operator from the Secrets of all others, while it still looks after objects everywhere.
#[test]
fn rights_on_secrets_can_be_given_in_some_namespaces_alone() {
    let name = format!("{RELEASE}-colonyos-operator-executors-secrets");
    let everywhere = render(OPERATOR, &json!({})).unwrap();
    assert_eq!(named(&everywhere, "ClusterRoleBinding", &name).len(), 1);
    for (values, expected) in [
        (json!({"secretNamespaces": ["red"]}), vec!["red"]),
        (json!({"watchNamespaces": ["red", "green"]}), vec!["red", "green"]),
        (json!({"watchNamespaces": ["red", "green"], "secretNamespaces": ["green"]}), vec!["green"]),
    ] {
        let objects = render(OPERATOR, &values).unwrap();
        let bindings = named(&objects, "RoleBinding", &name);
        let namespaces: Vec<_> = bindings.iter().map(|binding| &binding["metadata"]["namespace"]).collect();
        assert_eq!(namespaces, expected, "{values}");
        let of_cluster = of_kind(&objects, "ClusterRoleBinding");
        for binding in &of_cluster {
            let role = named(&objects, "ClusterRole", binding["roleRef"]["name"].as_str().unwrap())[0];
            assert!(rights(role).iter().all(|(_, resource, _)| resource != "secrets"), "{values}: {binding}");
        }
        let configuration = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned();
        let configuration: Value = serde_norway::from_str(&configuration).unwrap();
        assert_eq!(
            configuration["secretNamespaces"],
            values.get("secretNamespaces").cloned().unwrap_or(json!([]))
        );
    }
}

/// People with the role `view` read the operator's kinds, those with `edit` write what is in their namespaces. Connections
/// and definitions are for administrators of the cluster, and the status is the operator's.
#[test]
fn the_roles_of_people_cover_the_operators_kinds() {
    let objects = render(OPERATOR, &json!({})).unwrap();
    let role = |suffix: &str| {
        named(&objects, "ClusterRole", &format!("{RELEASE}-colonyos-operator-{suffix}"))[0].clone()
    };
    let (mut view, mut edit) = (BTreeSet::new(), BTreeSet::new());
    for (_, own) in Kind::own() {
        let spec = (own.definition)().spec;
        let subresources = spec.versions.iter().filter_map(|version| version.subresources.as_ref());
        let has_scale = subresources.into_iter().any(|subresources| subresources.scale.is_some());
        let rights = |part: &str, verbs: &[&str]| -> Vec<_> {
            let resource = format!("{}{part}", spec.names.plural);
            verbs.iter().map(|verb| (spec.group.clone(), resource.clone(), (*verb).to_owned())).collect()
        };
        let read = ["get", "list", "watch"];
        view.extend(rights("", &read).into_iter().chain(rights("/status", &read)));
        if spec.scope == "Namespaced" {
            edit.extend(rights("", &["create", "update", "patch", "delete", "deletecollection"]));
        }
        if has_scale {
            view.extend(rights("/scale", &read));
            edit.extend(rights("/scale", &["update", "patch"]));
        }
    }
    assert_eq!(rights(&role("view")), view);
    assert_eq!(rights(&role("edit")), edit);
    for (suffix, aggregate) in
        [("view", "aggregate-to-view"), ("edit", "aggregate-to-edit"), ("edit", "aggregate-to-admin")]
    {
        let label = format!("rbac.authorization.k8s.io/{aggregate}");
        assert_eq!(role(suffix)["metadata"]["labels"][label.as_str()], "true");
    }
}

/// There are no permissions for users' kinds until the installer names their groups, and then for these groups only.
#[test]
fn rights_on_kinds_of_users_are_given_for_the_named_groups_alone() {
    let account = json!([{"kind": "ServiceAccount", "name": format!("{RELEASE}-colonyos-operator"), "namespace": NAMESPACE}]);
    let name = |suffix: &str| format!("{RELEASE}-colonyos-operator-{suffix}");
    let without = render(OPERATOR, &json!({})).unwrap();
    for role in roles(&without) {
        assert!(rights(role).iter().all(|(group, ..)| group != "apiextensions.k8s.io"), "{role}");
    }
    let groups = ["ml.example.com", "hpc.example.com"];
    let objects = render(OPERATOR, &json!({"userKinds": {"groups": groups}})).unwrap();
    let crds = rights(named(&objects, "ClusterRole", &name("kinds"))[0]);
    let expected = ["get", "list", "watch", "create", "update", "delete"]
        .map(|verb| ("customresourcedefinitions", verb))
        .into_iter()
        .chain([("customresourcedefinitions/status", "update")])
        .map(|(resource, verb)| ("apiextensions.k8s.io".to_owned(), resource.to_owned(), verb.to_owned()));
    // Whether its own admission policies are there, and no others.
    let policies = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"]
        .map(|resource| ("admissionregistration.k8s.io".to_owned(), resource.to_owned(), "get".to_owned()));
    assert_eq!(crds, expected.chain(policies).collect());
    let kinds = named(&objects, "ClusterRole", &name("kinds"))[0];
    let rules = kinds["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["apiGroups"][0] == "admissionregistration.k8s.io").unwrap();
    let guards = ["status", "composer", "adopter"].map(name);
    assert_eq!(rule["resourceNames"], json!(guards));
    let configuration = only(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned();
    for guard in &guards {
        assert!(configuration.contains(guard), "{configuration}");
        for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
            assert_eq!(named(&objects, kind, guard).len(), 1, "{kind} {guard}");
        }
    }
    for suffix in ["instances", "kinds-view", "kinds-edit"] {
        let given = rights(named(&objects, "ClusterRole", &name(suffix))[0]);
        let named: BTreeSet<&str> = given.iter().map(|(group, ..)| group.as_str()).collect();
        assert_eq!(named, BTreeSet::from(groups), "{suffix}");
        assert!(given.iter().all(|(_, _, verb)| verb != "*"), "{suffix}");
    }
    let instances = rights(named(&objects, "ClusterRole", &name("instances"))[0]);
    let update: &[&str] = &["update"];
    let parts = [("*", Kind::Instance.info().verbs), ("*/status", update), ("*/finalizers", update)];
    let expected = groups.iter().flat_map(|group| {
        let of_parts =
            parts.iter().flat_map(|(resource, verbs)| verbs.iter().map(move |verb| (resource, verb)));
        of_parts.map(|(resource, verb)| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()))
    });
    assert_eq!(instances, expected.collect());
    assert!(
        instances.iter().all(|(_, _, verb)| verb != "create" && verb != "delete"),
        "they are users' to make and to delete"
    );
    for suffix in ["kinds", "instances"] {
        assert_eq!(named(&objects, "ClusterRoleBinding", &name(suffix))[0]["subjects"], account);
    }
    for (suffix, aggregate) in [("kinds-view", "aggregate-to-view"), ("kinds-edit", "aggregate-to-edit")] {
        let label = format!("rbac.authorization.k8s.io/{aggregate}");
        assert_eq!(
            named(&objects, "ClusterRole", &name(suffix))[0]["metadata"]["labels"][label.as_str()],
            "true"
        );
    }
    let values = json!({"userKinds": {"groups": groups}, "watchNamespaces": ["red"]});
    let objects = render(OPERATOR, &values).unwrap();
    assert!(named(&objects, "ClusterRoleBinding", &name("instances")).is_empty());
    assert_eq!(named(&objects, "RoleBinding", &name("instances"))[0]["metadata"]["namespace"], "red");
    let own = Kind::own().map(|(_, own)| (own.resource)().group);
    let others = ["*", "apps", "", "rbac.authorization.k8s.io"].map(str::to_owned);
    for bad in others.into_iter().chain(own) {
        let refused = render(OPERATOR, &json!({"userKinds": {"groups": [bad]}}));
        assert!(refused.is_err(), "{bad:?} is no group of users");
    }
}

/// To see whether its endpoint is answered, the operator looks up one Service, and no other.
#[test]
fn of_services_the_operator_sees_its_own_alone() {
    let objects = render(OPERATOR, &json!({"userKinds": {"groups": ["ml.example.com"]}})).unwrap();
    let name = format!("{RELEASE}-colonyos-operator-conversion");
    let role = named(&objects, "Role", &name)[0];
    let wanted =
        json!({"apiGroups": [""], "resources": ["services"], "resourceNames": [name], "verbs": ["get"]});
    assert_eq!(role["rules"], json!([wanted]));
    assert_eq!(role["metadata"]["namespace"], NAMESPACE);
    for other in roles(&objects).into_iter().filter(|other| *other != role) {
        assert!(rights(other).iter().all(|(_, resource, _)| resource != "services"), "{other}");
    }
}

/// What instances are made of is written with rights that the installer names one by one, and only where kinds may be made up.
#[test]
fn rights_on_parts_of_instances_are_those_that_are_named() {
    let composes = json!([{"apiGroups": ["apps"], "resources": ["deployments"]}, {"apiGroups": [""], "resources": ["services"]}]);
    let values = json!({"userKinds": {"groups": ["app.example.com"], "composes": composes}});
    let objects = render(OPERATOR, &values).unwrap();
    let role = named(&objects, "ClusterRole", &format!("{RELEASE}-colonyos-operator-instances"))[0].clone();
    let parts: BTreeSet<_> =
        rights(&role).into_iter().filter(|(group, ..)| group != "app.example.com").collect();
    let expected = [("apps", "deployments"), ("", "services")].into_iter().flat_map(|(group, resource)| {
        ["get", "list", "watch", "create", "patch", "delete"]
            .map(|verb| (group.to_owned(), resource.to_owned(), verb.to_owned()))
    });
    assert_eq!(parts, expected.collect());
    let policy =
        named(&objects, "ValidatingAdmissionPolicy", &format!("{RELEASE}-colonyos-operator-composer"));
    assert_eq!(
        policy[0]["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"],
        json!(["app.example.com"])
    );
    for without in [
        json!({}),
        json!({"userKinds": {"groups": ["app.example.com"]}, "admissionPolicy": {"enabled": false}}),
    ] {
        let objects = render(OPERATOR, &without).unwrap();
        let name = format!("{RELEASE}-colonyos-operator-composer");
        assert!(named(&objects, "ValidatingAdmissionPolicy", &name).is_empty(), "{without}");
    }
    for bad in [
        json!({"apiGroups": ["*"], "resources": ["pods"]}),
        json!({"apiGroups": [""], "resources": ["*"]}),
        json!({"resources": ["pods"]}),
    ] {
        let refused =
            render(OPERATOR, &json!({"userKinds": {"groups": ["app.example.com"], "composes": [bad]}}));
        assert!(refused.is_err(), "{bad}");
    }
}

/// The policy must exempt the very account that the operator runs as, or it cannot write finalizers.
#[test]
fn the_policy_exempts_the_operators_account() {
    let values = json!({"serviceAccount": {"name": "robot"}});
    let objects = render(OPERATOR, &values).unwrap();
    assert_eq!(only(&objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"], "robot");
    let name = format!("{RELEASE}-colonyos-operator-requester");
    let policy = named(&objects, "ValidatingAdmissionPolicy", &name)[0];
    let exempt = &policy["spec"]["matchConditions"][0]["expression"];
    assert_eq!(*exempt, format!("request.userInfo.username != \"system:serviceaccount:{NAMESPACE}:robot\""));
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    let binding = named(&objects, "ValidatingAdmissionPolicyBinding", &name)[0];
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
}

/// The policy for templates knows which folders of nodes and which accounts the operator's configuration allows.
#[test]
fn templates_may_ask_for_what_the_configuration_allows() {
    let expressions = |values: &Value| {
        let objects = render(OPERATOR, values).unwrap();
        let name = format!("{RELEASE}-colonyos-operator-template");
        let policy = named(&objects, "ValidatingAdmissionPolicy", &name)[0].clone();
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        let binding = named(&objects, "ValidatingAdmissionPolicyBinding", &name)[0];
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        policy["spec"]["validations"].to_string()
    };
    let none = expressions(&json!({}));
    assert!(none.contains("name in [])") && !none.contains("hostPath.path =="), "{none}");
    let allowed = json!({"hostPaths": {"allowed": [{"prefix": "/data/models/"}]}, "serviceAccounts": {"allowed": ["robot"]}});
    let some = expressions(&json!({ "configuration": allowed }));
    for words in [
        r#"volume.hostPath.path == \"/data/models\""#,
        r#"startsWith(\"/data/models/\")"#,
        r#"name in [\"robot\"]"#,
    ] {
        assert!(some.contains(words), "{words}: {some}");
    }
}

/// Each kind that refers to Secrets has its policy, or the right to create one of them is the right to read Secrets.
#[test]
fn who_refers_to_secrets_is_asked_for_the_right_to_read_them() {
    let objects = render(OPERATOR, &json!({"serviceAccount": {"name": "robot"}})).unwrap();
    for resource in ["colonyprocesses", "colonyworkflows", "colonycrons", "requestflows"] {
        let name = format!("{RELEASE}-colonyos-operator-reader-{resource}");
        let policy = &named(&objects, "ValidatingAdmissionPolicy", &name)[0]["spec"];
        assert_eq!(policy["matchConstraints"]["resourceRules"][0]["resources"], json!([resource]));
        let exempt = policy["matchConditions"][0]["expression"].as_str().unwrap();
        assert!(exempt.contains(&format!("serviceaccount:{NAMESPACE}:robot")), "{exempt}");
        // One check for each name, and one for all beyond: of Secrets, and of ConfigMaps.
        assert_eq!(policy["validations"].as_array().unwrap().len(), 18);
        let binding = named(&objects, "ValidatingAdmissionPolicyBinding", &name)[0];
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    }
}

/// A warning about an annotation that the operator has would teach people to overlook warnings.
#[test]
fn the_policy_knows_every_annotation() {
    let name = format!("{RELEASE}-colonyos-operator-spelling");
    let objects = render(OPERATOR, &json!({"userKinds": {"groups": ["ml.example.com"]}})).unwrap();
    let policy = &named(&objects, "ValidatingAdmissionPolicy", &name)[0]["spec"];
    let variable = |name: &str| {
        let all = policy["variables"].as_array().unwrap();
        let found = all.iter().find(|variable| variable["name"] == name).unwrap();
        found["expression"].as_str().unwrap().split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let known: BTreeSet<String> = variable("known");
    assert_eq!(known, annotation::KNOWN.iter().map(ToString::to_string).collect());
    let flags: BTreeSet<String> = variable("unclear");
    assert!(annotation::FLAGS.iter().all(|flag| flags.contains(*flag)), "{flags:?}");
    let message = policy["validations"][0]["messageExpression"].as_str().unwrap();
    assert!(message.ends_with(&format!("\"{}\"", annotation::FOR_USERS.join(", "))), "{message}");
    let groups = &policy["matchConstraints"]["resourceRules"][0]["apiGroups"];
    assert!(groups.as_array().unwrap().contains(&json!("ml.example.com")), "{groups}");
    let binding = named(&objects, "ValidatingAdmissionPolicyBinding", &name)[0];
    assert_eq!(binding["spec"]["validationActions"], json!(["Warn"]), "it never blocks a write");
    assert_eq!(policy["failurePolicy"], "Ignore");
}

/// The role for users of their kinds includes their status, since it names no kinds.
#[test]
fn status_of_users_kinds_is_guarded_where_there_are_any() {
    let name = format!("{RELEASE}-colonyos-operator-status");
    let groups = json!(["ml.example.com", "app.example.com"]);
    let objects = render(OPERATOR, &json!({"userKinds": {"groups": groups}})).unwrap();
    let policy = &named(&objects, "ValidatingAdmissionPolicy", &name)[0]["spec"];
    let rule = &policy["matchConstraints"]["resourceRules"][0];
    assert_eq!((&rule["apiGroups"], &rule["resources"]), (&groups, &json!(["*/status"])));
    let exempt = policy["matchConditions"][0]["expression"].as_str().unwrap();
    assert!(exempt.contains(&format!("serviceaccount:{NAMESPACE}:")), "{exempt}");
    let binding = named(&objects, "ValidatingAdmissionPolicyBinding", &name)[0];
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    for without in
        [json!({}), json!({"userKinds": {"groups": groups}, "admissionPolicy": {"enabled": false}})]
    {
        let objects = render(OPERATOR, &without).unwrap();
        assert!(named(&objects, "ValidatingAdmissionPolicy", &name).is_empty(), "{without}");
    }
}

#[test]
fn the_policy_and_the_roles_can_be_left_to_others() {
    let objects =
        render(OPERATOR, &json!({"admissionPolicy": {"enabled": false}, "rbac": {"create": false}})).unwrap();
    let kinds: BTreeSet<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["ConfigMap", "Deployment", "Service", "ServiceAccount"]));
}
