//! What an object may take from a colony: its author is a member of the colony, and not a user of the namespace. Pure.

use crate::{
    api::{
        colony::Inbound,
        executor_deployment::{Config, ExecutorDeploymentSpec, Volume},
        names::{INBOUND_LABEL, INBOUND_PRIVILEGED},
        namespace::ColonyTrust,
    },
    kinds::SpecError,
};

/// Checks a spec whose author is a member of the colony against what the `Colony` and the namespace grant.
///
/// # Errors
///
/// The first field that uses what belongs to the namespace, or has more replicas than the `Colony` grants.
pub fn check_from_colony(
    spec: &ExecutorDeploymentSpec,
    trust: ColonyTrust,
    inbound: &Inbound,
) -> Result<(), SpecError> {
    // Every field is named: a new one is not let through unseen.
    let ExecutorDeploymentSpec {
        replicas,
        config,
        service_account_name,
        template,
        management_policies: _,
        colony: _,
        runtime: _,
        workload: _,
        executor_type: _,
        image: _,
        command: _,
        args: _,
        resources: _,
        node_selector: _,
        tolerations: _,
        location: _,
        identity: _,
        drain: _,
        suspend: _,
        deletion_policy: _,
        update_policy: _,
        execution_guarantee: _,
        sync_policy: _,
        adoption_policy: _,
        restore_policy: _,
        drift: _,
    } = spec;
    if *replicas > inbound.max_replicas {
        let remedy = format!(
            "the colony may request {} of one object: request fewer, or have spec.inbound.maxReplicas of the Colony raised",
            inbound.max_replicas
        );
        return Err(SpecError::invalid("spec.replicas", replicas.to_string(), remedy));
    }
    if trust == ColonyTrust::Privileged {
        return Ok(());
    }
    if let Some(name) = service_account_name {
        return Err(refused("spec.serviceAccountName", name));
    }
    if template.is_some() {
        return Err(refused("spec.template", "a pod template"));
    }
    check_config(config.as_ref())
}

fn check_config(config: Option<&Config>) -> Result<(), SpecError> {
    let Some(Config { env: _, env_from, volumes }) = config else { return Ok(()) };
    if env_from.as_ref().is_some_and(|sources| !sources.is_empty()) {
        return Err(refused("spec.config.envFrom", "Secrets or ConfigMaps"));
    }
    for volume in volumes.iter().flatten() {
        let Volume {
            target: _,
            read_only: _,
            empty_dir: _,
            source,
            persistent_volume_claim,
            config_map,
            secret,
        } = volume;
        let source = source.as_deref().filter(|source| *source != "emptyDir");
        let named = [source, persistent_volume_claim.as_deref(), config_map.as_deref(), secret.as_deref()];
        if let Some(name) = named.into_iter().flatten().next() {
            return Err(refused("spec.config.volumes", name));
        }
    }
    Ok(())
}

fn refused(field: &str, value: &str) -> SpecError {
    let remedy = format!(
        "it uses what belongs to the namespace, which a colony may not: remove it, or have the namespace labelled {INBOUND_LABEL}={INBOUND_PRIVILEGED}"
    );
    SpecError::invalid(field, value, remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(more: &Value, trust: ColonyTrust) -> Result<(), String> {
        let mut spec = json!({"image": "i:1", "executorType": "cli", "replicas": 3});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec = serde_json::from_value(spec).unwrap();
        check_from_colony(&spec, trust, &Inbound::default()).map_err(|error| error.to_string())
    }

    /// With these, a key that any executor holds would read the Secrets of every namespace.
    #[test]
    fn a_colony_uses_nothing_of_a_namespace_that_does_not_say_so() {
        for (field, more) in [
            ("spec.config.envFrom", json!({"config": {"envFrom": [{"secretRef": {"name": "colony-b"}}]}})),
            ("spec.config.envFrom", json!({"config": {"envFrom": [{"configMapRef": {"name": "c"}}]}})),
            ("spec.serviceAccountName", json!({"serviceAccountName": "default"})),
            ("spec.template", json!({"template": {}})),
            ("spec.config.volumes", json!({"config": {"volumes": [{"target": "/a", "source": "secret/s"}]}})),
            ("spec.config.volumes", json!({"config": {"volumes": [{"target": "/a", "source": "/etc"}]}})),
            ("spec.config.volumes", json!({"config": {"volumes": [{"target": "/a", "secret": "s"}]}})),
            ("spec.config.volumes", json!({"config": {"volumes": [{"target": "/a", "configMap": "s"}]}})),
            (
                "spec.config.volumes",
                json!({"config": {"volumes": [{"target": "/a", "persistentVolumeClaim": "s"}]}}),
            ),
        ] {
            let error = check(&more, ColonyTrust::Restricted).unwrap_err();
            assert!(error.starts_with(&format!("{field}: ")) && error.contains(INBOUND_LABEL), "{error}");
            assert_eq!(check(&more, ColonyTrust::Privileged), Ok(()), "{field}");
        }
        let plain = json!({"config": {"env": {"A": "1"}, "volumes": [
            {"target": "/a", "source": "emptyDir"}, {"target": "/b", "emptyDir": {}}]}});
        assert_eq!(check(&plain, ColonyTrust::Restricted), Ok(()));
    }

    #[test]
    fn a_colony_gets_no_more_replicas_than_the_cluster_grants() {
        for trust in [ColonyTrust::Restricted, ColonyTrust::Privileged] {
            let error = check(&json!({"replicas": 21}), trust).unwrap_err();
            assert!(error.starts_with("spec.replicas: 21: ") && error.contains("maxReplicas"), "{error}");
            assert_eq!(check(&json!({"replicas": 20}), trust), Ok(()));
        }
    }
}
