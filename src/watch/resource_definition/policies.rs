//! Whether the admission policies are there that keep users of defined kinds from borrowing the operator's rights.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;

use super::DefinitionReader;
use crate::{
    api::{
        condition::{ConditionType, Reason},
        resource_definition::ResourceDefinition,
    },
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::Observed,
};

/// By what [`Rights`](crate::memory::rights::Rights) remembers that all are there.
const POLICIES: &str = "admission policies";

impl DefinitionReader {
    /// Whether the operator has its rights for a definition, guarded or not.
    pub(super) fn is_authorized(definition: &ResourceDefinition) -> bool {
        let conditions = definition.status.iter().flat_map(|status| &status.conditions);
        let mut authorized =
            conditions.filter(|condition| condition.type_ == ConditionType::Authorized.as_str());
        authorized.any(|condition| {
            condition.status == "True" || condition.reason == Reason::PoliciesMissing.as_str()
        })
    }

    /// Policies that are not there, or that nothing enforces.
    pub(super) async fn missing_policies(&self) -> Observed<Vec<String>> {
        let asked_at = self.clock.instant();
        if self.policies.is_empty() || self.rights.are_granted(POLICIES, asked_at) {
            return Observed::Known(Vec::new());
        }
        let policies = Api::<ValidatingAdmissionPolicy>::all(self.client.clone());
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
        let mut missing = Vec::new();
        for name in &self.policies {
            let found = async {
                let policy = call(CALL_TIME_LIMIT, policies.get_opt(name)).await?;
                let binding = call(CALL_TIME_LIMIT, bindings.get_opt(name)).await?;
                Ok::<_, crate::runtime::kubernetes::CallError>(
                    policy.is_some() && binding.as_ref().is_some_and(|binding| denies(binding, name)),
                )
            };
            match found.await {
                Ok(true) => {}
                Ok(false) => missing.push(name.clone()),
                Err(error) => return Observed::Unknown(error.explain(&format!("get policy {name}"))),
            }
        }
        self.rights.note(POLICIES, missing.is_empty(), asked_at);
        Observed::Known(missing)
    }
}

/// Whether a binding has the policy refuse requests.
fn denies(binding: &ValidatingAdmissionPolicyBinding, policy: &str) -> bool {
    let spec = &binding.spec;
    spec.policy_name == policy && spec.validation_actions.iter().any(|action| action == "Deny")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_binding_that_only_warns_refuses_nothing() {
        for (policy, actions, expected) in [
            ("p", json!(["Deny"]), true),
            ("p", json!(["Audit", "Deny"]), true),
            ("p", json!(["Warn", "Audit"]), false),
            ("other", json!(["Deny"]), false),
        ] {
            let spec = json!({"policyName": policy, "validationActions": actions});
            let binding = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
            assert_eq!(denies(&binding, "p"), expected, "{spec}");
        }
    }
}
