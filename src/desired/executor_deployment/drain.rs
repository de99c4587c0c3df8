//! The gate in the pods of a fleet that is drained: what it is, and how the executor and the kubelet find it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, EmptyDirVolumeSource, EnvFromSource, EnvVar, HTTPGetAction, HTTPHeader,
        LifecycleHandler, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SecretEnvSource,
        SecurityContext, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};

use crate::{
    api::{
        executor_deployment::{Drain, DrainPolicy},
        gate::{
            CONTROL_PORT, DIRECTORY, DRAIN_PATH, EXECUTOR_PORT, GATE, HEALTH_PATH, STARTED_PATH, TOKEN_HEADER,
        },
        metadata::Owner,
        names::{EXECUTOR_CONTAINER, identity_secret},
    },
    kinds::SpecError,
    snapshot::{Policy, ResolvedColony},
};

/// What a pod has left, in seconds, when its time to drain is over: an executor that is told to stop may end by itself.
const MARGIN: u64 = 30;
/// The grace period of pods that have as long as it takes, in seconds: a year.
const NO_LIMIT: u64 = 365 * 24 * 3600;
/// How the cluster autoscaler is told of volumes that keep no pod on its node.
const LOCAL_VOLUMES_ANNOTATION: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// Puts the gate into a template.
///
/// # Errors
///
/// When the gate does not trust the server, or the spec has something of its own where the gate must be.
pub fn build(
    owner: &Owner,
    drain: &Drain,
    policy: &Policy,
    colony: &ResolvedColony,
    template: &mut PodTemplateSpec,
) -> Result<(), SpecError> {
    if let Some(name) = &colony.spec.server.ca_secret_name {
        let remedy = format!(
            "the gate does not trust the authority in Secret {name}, by which the Colony reaches its server: use a certificate of a \
             public authority, or remove drain"
        );
        return Err(SpecError::invalid("spec.drain", "(set)", remedy));
    }
    let timeout = drain.timeout.to_seconds();
    let timeout = timeout.map_err(|error| {
        SpecError::invalid("spec.drain.timeout", drain.timeout.as_str(), error.to_string())
    })?;
    let timeout = (drain.policy != DrainPolicy::Wait).then_some(timeout);
    let grace = timeout.map_or(NO_LIMIT, |timeout| timeout + MARGIN);
    let pod = template.spec.get_or_insert_default();
    check(pod)?;
    // The first process of a container ignores SIGTERM unless it has asked for it: one that has just started, or never asks, would
    // stay until the whole grace period is over. With the processes of a pod in one place, it is the first of none.
    pod.share_process_namespace.get_or_insert(true);
    pod.termination_grace_period_seconds = Some(i64::try_from(grace).unwrap_or(i64::MAX));
    for container in pod.containers.iter_mut().filter(|container| container.name == EXECUTOR_CONTAINER) {
        container.env.get_or_insert_default().extend(through_gate());
        let lifecycle = container.lifecycle.get_or_insert_default();
        lifecycle.pre_stop = Some(hook(owner, DRAIN_PATH));
        lifecycle.post_start.get_or_insert_with(|| hook(owner, STARTED_PATH));
    }
    let gate = container(owner, &policy.gate_image, (timeout, drain.policy), grace);
    pod.init_containers.get_or_insert_default().insert(0, gate);
    pod.volumes.get_or_insert_default().push(Volume {
        name: GATE.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    });
    let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
    let evictable = annotations.entry(LOCAL_VOLUMES_ANNOTATION.to_owned()).or_default();
    if !evictable.is_empty() {
        evictable.push(',');
    }
    evictable.push_str(GATE);
    Ok(())
}

/// What leads an executor to the gate instead of the server. These variables are the container's own, hence they win over those of
/// its sources.
fn through_gate() -> Vec<EnvVar> {
    let port = EXECUTOR_PORT.to_string();
    let values = ["127.0.0.1", &port, "false", "127.0.0.1", &port].map(str::to_owned);
    LED.into_iter()
        .zip(values)
        .map(|(name, value)| EnvVar { name: name.to_owned(), value: Some(value), value_from: None })
        .collect()
}

/// The variables that lead an executor to the server.
const LED: [&str; 5] = [
    "COLONIES_SERVER_HOST",
    "COLONIES_SERVER_PORT",
    "COLONIES_TLS",
    "COLONIES_CLIENT_HTTP_HOST",
    "COLONIES_CLIENT_HTTP_PORT",
];

/// What users have written where the gate must be: an executor that goes past it would lose work without a word.
fn check(pod: &PodSpec) -> Result<(), SpecError> {
    let refuse = |field: &str, value: &str, remedy: &str| {
        Err(SpecError::invalid(format!("spec.template.spec.{field}"), value, remedy))
    };
    if let Some(seconds) = pod.termination_grace_period_seconds {
        let remedy = "with drain it follows from drain.timeout: remove it, or drain";
        return refuse("terminationGracePeriodSeconds", &seconds.to_string(), remedy);
    }
    let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    let volumes = pod.volumes.iter().flatten().map(|volume| &volume.name);
    if containers.map(|container| &container.name).chain(volumes).any(|name| name == GATE) {
        return refuse("(names)", GATE, "containers and volumes of this name are the gate's: rename it");
    }
    for container in pod.containers.iter().filter(|container| container.name == EXECUTOR_CONTAINER) {
        let has_hook = container.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.pre_stop.is_some());
        if has_hook {
            let field = format!("containers[{}].lifecycle.preStop", container.name);
            return refuse(&field, "(set)", "with drain it begins to drain: remove it, or drain");
        }
        let led = container.env.iter().flatten().find(|variable| LED.contains(&variable.name.as_str()));
        if let Some(variable) = led {
            let value = variable.value.as_deref().unwrap_or("(a reference)");
            let remedy = "with drain, executors reach the server of their colony through the gate: remove it, or drain";
            return Err(SpecError::invalid(format!("spec.config.env.{}", variable.name), value, remedy));
        }
    }
    Ok(())
}

/// A request of the kubelet to the gate. The token is in the pod's spec alone: what can read that may also delete the pod, or
/// nearly.
fn hook(owner: &Owner, path: &str) -> LifecycleHandler {
    let header = HTTPHeader { name: TOKEN_HEADER.to_owned(), value: owner.uid.clone() };
    let action = HTTPGetAction { http_headers: Some(vec![header]), ..get(path) };
    LifecycleHandler { http_get: Some(action), ..LifecycleHandler::default() }
}

fn get(path: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(i32::from(CONTROL_PORT)),
        ..HTTPGetAction::default()
    }
}

/// A sidecar: it is there before the other containers start, and after they have ended.
fn container(
    owner: &Owner,
    image: &str,
    (timeout, policy): (Option<u64>, DrainPolicy),
    grace: u64,
) -> Container {
    let mut args = vec!["gate".to_owned(), format!("--token={}", owner.uid), format!("--hold={grace}")];
    args.push(format!("--directory={DIRECTORY}"));
    if let Some(timeout) = timeout {
        let policy: &str = policy.into();
        args.extend([format!("--timeout={timeout}"), format!("--at-timeout={policy}")]);
    }
    let quantities = |pairs: &[(&str, &str)]| {
        let quantity = |(name, value): &(&str, &str)| ((*name).to_owned(), Quantity((*value).to_owned()));
        Some(pairs.iter().map(quantity).collect::<BTreeMap<_, _>>())
    };
    let secret = SecretEnvSource { name: identity_secret(&owner.name), optional: None };
    Container {
        name: GATE.to_owned(),
        image: Some(image.to_owned()),
        args: Some(args),
        env_from: Some(vec![EnvFromSource { secret_ref: Some(secret), ..EnvFromSource::default() }]),
        restart_policy: Some("Always".to_owned()),
        resources: Some(ResourceRequirements {
            requests: quantities(&[("cpu", "5m"), ("memory", "16Mi")]),
            limits: quantities(&[("memory", "128Mi")]),
            claims: None,
        }),
        startup_probe: Some(Probe {
            http_get: Some(get(HEALTH_PATH)),
            period_seconds: Some(1),
            failure_threshold: Some(60),
            ..Probe::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: GATE.to_owned(),
            mount_path: DIRECTORY.to_owned(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::snapshot::fixtures::resolved;

    fn built(drain: &Value, pod: Value, change: impl Fn(&mut ResolvedColony)) -> Result<Value, String> {
        let owner =
            Owner { name: "f".to_owned(), namespace: "n".to_owned(), uid: "u1".to_owned(), generation: 1 };
        let policy = Policy { gate_image: "operator:1".to_owned(), ..Policy::default() };
        let mut colony = resolved();
        change(&mut colony);
        let mut template: PodTemplateSpec = serde_json::from_value(pod).unwrap();
        let drain = serde_json::from_value(drain.clone()).unwrap();
        build(&owner, &drain, &policy, &colony, &mut template).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(template).unwrap())
    }

    fn pod(executor: &Value) -> Value {
        let mut container = json!({"name": "executor", "image": "i"});
        container.as_object_mut().unwrap().extend(executor.as_object().unwrap().clone());
        let side = json!({"name": "side", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}});
        json!({
            "metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "data"}},
            "spec": {"containers": [container, side], "initContainers": [{"name": "first"}]},
        })
    }

    #[test]
    fn a_pod_has_a_gate_before_all_else_and_asks_it_before_it_ends() {
        let template = built(&json!({}), pod(&json!({})), |_| {}).unwrap();
        let spec = &template["spec"];
        assert_eq!(spec["terminationGracePeriodSeconds"], 630);
        assert_eq!(spec["shareProcessNamespace"], true);
        let gate = &spec["initContainers"][0];
        assert_eq!((&gate["name"], &gate["restartPolicy"]), (&json!("colonyos-gate"), &json!("Always")));
        assert_eq!(
            gate["args"],
            json!([
                "gate",
                "--token=u1",
                "--hold=630",
                "--directory=/var/run/colonyos-gate",
                "--timeout=600",
                "--at-timeout=Requeue"
            ])
        );
        // The webhook gives it the Secret of its pod, as it does every container.
        assert_eq!(gate["envFrom"][0]["secretRef"]["name"], "f-executor-identity");
        assert_eq!(spec["initContainers"][1]["name"], "first");
        let executor = &spec["containers"][0];
        let hook = json!({"httpGet": {
            "path": "/drain", "port": 50089, "httpHeaders": [{"name": "x-colonyos-gate-token", "value": "u1"}],
        }});
        assert_eq!(executor["lifecycle"]["preStop"], hook);
        assert_eq!(executor["lifecycle"]["postStart"]["httpGet"]["path"], "/started");
        let led = executor["env"].as_array().unwrap();
        assert!(led.contains(&json!({"name": "COLONIES_SERVER_HOST", "value": "127.0.0.1"})), "{led:?}");
        assert!(led.contains(&json!({"name": "COLONIES_SERVER_PORT", "value": "50088"})), "{led:?}");
        assert!(led.contains(&json!({"name": "COLONIES_TLS", "value": "false"})), "{led:?}");
        assert_eq!(spec["containers"][1]["lifecycle"], json!({"preStop": {"sleep": {"seconds": 1}}}));
        let evictable = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
        assert_eq!(template["metadata"]["annotations"][evictable], "data,colonyos-gate");
    }

    #[test]
    fn the_grace_period_follows_from_the_time_that_there_is() {
        for (drain, grace, told) in [
            (json!({"timeout": "1h30m"}), 5430, "--timeout=5400"),
            (json!({"timeout": "1500ms", "policy": "Cancel"}), 32, "--at-timeout=Cancel"),
            (json!({"timeout": "1s", "policy": "Wait"}), 31_536_000, "--hold=31536000"),
        ] {
            let spec = built(&drain, pod(&json!({})), |_| {}).unwrap()["spec"].clone();
            assert_eq!(spec["terminationGracePeriodSeconds"], grace, "{drain}");
            let args = spec["initContainers"][0]["args"].as_array().unwrap();
            assert!(args.contains(&json!(told)), "{args:?}");
            assert_eq!(args.len(), if grace == 31_536_000 { 4 } else { 6 }, "{args:?}");
        }
    }

    #[test]
    fn what_would_go_past_the_gate_is_refused_by_name() {
        let refused = |pod: Value| built(&json!({}), pod, |_| {}).unwrap_err();
        for name in LED {
            let error = refused(pod(&json!({"env": [{"name": name, "value": "x"}]})));
            assert!(error.contains(&format!("spec.config.env.{name}")), "{error}");
        }
        let error = refused(pod(&json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}})));
        assert!(error.contains("containers[executor].lifecycle.preStop"), "{error}");
        let mut other = pod(&json!({}));
        other["spec"]["terminationGracePeriodSeconds"] = json!(60);
        assert!(refused(other).contains("drain.timeout"));
        for list in ["initContainers", "volumes", "containers"] {
            let mut other = pod(&json!({}));
            let name = json!({"name": GATE});
            match other["spec"].get_mut(list).and_then(Value::as_array_mut) {
                Some(all) => all.push(name),
                None => other["spec"][list] = json!([name]),
            }
            assert!(refused(other).contains("rename it"), "{list}");
        }
        let with_authority = |colony: &mut ResolvedColony| {
            colony.spec.server.ca_secret_name = Some("authority".to_owned());
        };
        let error = built(&json!({}), pod(&json!({})), with_authority).unwrap_err();
        assert!(error.contains("Secret authority"), "{error}");
    }

    #[test]
    fn a_start_hook_of_the_users_stays() {
        let own = json!({"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}});
        let executor = built(&json!({}), pod(&own), |_| {}).unwrap()["spec"]["containers"][0].clone();
        assert_eq!(executor["lifecycle"]["postStart"], own["lifecycle"]["postStart"]);
        assert_eq!(executor["lifecycle"]["preStop"]["httpGet"]["path"], "/drain");
    }
}
