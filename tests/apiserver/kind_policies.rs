//! The admission policies for users' kinds: what they ask for parts of parts, and what a kind says while one is missing.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
    core::DynamicObject,
};
use serde_json::json;

use crate::{
    requester::{REFUSAL, grant, impersonate, install_for, release},
    support::{
        cluster::connect_with_crds,
        conditions::Conditions as _,
        namespace::{TestNamespace, in_namespace},
        operator::{Operator, Signal, Turn, configuration},
        own_kind::OwnKind,
        stage::SOON,
        wait::eventually,
    },
};

const INNER: &str = r#"
- id: taken
  adoptionPolicy: adopt-or-create
  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${self.metadata.name}"}, data: {text: "${self.spec.text}"}}
"#;

const OUTER: &str = r#"
- id: inner
  template: {apiVersion: test.example.com/v1, kind: Inner, metadata: {name: "${self.metadata.name}"}, spec: {text: "${self.spec.text}"}}
"#;

/// Runs a test with an operator that knows the policies of the chart, without a colony.
async fn with_operator(test: &str, body: impl AsyncFnOnce(&TestNamespace, &mut Operator, &Turn)) {
    let connection = connect_with_crds().await;
    in_namespace(&connection, test, async |namespace| {
        let turn = Turn::take().await;
        let mut operator = start(&namespace, &turn).await;
        Box::pin(body(&namespace, &mut operator, &turn)).await;
    })
    .await;
}

async fn start(namespace: &TestNamespace, turn: &Turn) -> Operator {
    let mut configuration = configuration(&namespace.name);
    configuration.kind_policies = policies(namespace);
    Operator::start(configuration, &namespace.name, turn).await
}

fn policies(namespace: &TestNamespace) -> Vec<String> {
    let release = release(namespace);
    ["status", "composer", "adopter"].map(|policy| format!("{release}-colonyos-operator-{policy}")).into()
}

/// The kind that the user asks for adopts nothing itself; what it is made of does.
#[tokio::test]
async fn parts_that_adopt_need_the_right_to_delete_what_they_take_over() {
    with_operator("nested-adopt", async |namespace, _, _| {
        let inners = OwnKind::of_text(namespace, "Inner", INNER);
        let outers = OwnKind::of_text(namespace, "Outer", OUTER);
        let group = outers.resource.group.clone();
        install_for(&namespace.kubernetes, namespace, &[&group]).await;
        inners.define_until_ready().await;
        outers.define_until_ready().await;
        let status = outers.until("says that it adopts", |status| status.adopts == Some(true)).await;
        assert_eq!(status.composes.map(|composes| composes.len()), Some(2));

        let user = format!("ann-of-{}", namespace.name);
        let rules = json!([
            {"apiGroups": [group], "resources": ["*"], "verbs": ["create", "delete"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
        ]);
        grant(namespace, &user, "kinds", rules).await;
        let as_user: Api<DynamicObject> =
            Api::namespaced_with(impersonate(&user).await, &namespace.name, &outers.resource);
        let object = DynamicObject::new("one", &outers.resource).data(json!({ "spec": { "text": "a" } }));
        let ask = async || {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            as_user.create(&dry, &object).await.map(drop).map_err(|error| error.to_string())
        };
        eventually("it is refused by the policy", SOON, async || match ask().await {
            Err(message) if message.contains(REFUSAL) && message.contains("may not delete configmaps") => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        })
        .await;
        let rule = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]}]);
        grant(namespace, &user, "delete", rule).await;
        eventually("who may delete them may have them taken over", SOON, ask).await;
        outers.remove().await;
        inners.remove().await;
    })
    .await;
}

/// Without its policies everybody who may create instances borrows the operator's rights.
#[tokio::test]
async fn a_kind_says_that_a_policy_or_its_binding_is_missing() {
    with_operator("policies-missing", async |namespace, operator, turn| {
        let inners = OwnKind::of_text(namespace, "Inner", INNER);
        let group = inners.resource.group.clone();
        inners.define().await;
        let missing = inners
            .until("misses its policies", |status| status.reason("Authorized") == "PoliciesMissing")
            .await;
        assert!(!missing.is_true("Authorized"));
        for name in policies(namespace) {
            assert!(missing.message("Authorized").contains(&name), "{}", missing.message("Authorized"));
        }
        install_for(&namespace.kubernetes, namespace, &[&group]).await;
        inners.until("has its policies", |status| status.is_true("Authorized")).await;

        let client = &namespace.kubernetes.calls;
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
        let all: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
        let [_, composer, adopter] = policies(namespace).try_into().unwrap();
        bindings.delete(&composer, &DeleteParams::default()).await.unwrap();
        all.delete(&adopter, &DeleteParams::default()).await.unwrap();
        // An operator remembers for a while that they were there; another does not.
        operator.signal(Signal::Kill);
        operator.wait_for_end(SOON).await;
        *operator = start(namespace, turn).await;
        let missing = inners
            .until("misses some again", |status| status.reason("Authorized") == "PoliciesMissing")
            .await
            .message("Authorized");
        assert!(missing.contains(&composer) && missing.contains(&adopter), "{missing}");
        inners.remove().await;
    })
    .await;
}
