//! The fields that the *restricted* pod security standard limits, as an allow-list. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, LifecycleHandler, PodSecurityContext, PodSpec, SELinuxOptions, SeccompProfile,
};
use serde_json::Value;

use crate::kinds::SpecError;

/// Kinds of volumes. `hostPath` is checked against the operator's configuration.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "hostPath",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];
const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn forbidden(field: &str, value: &str, why: &str) -> SpecError {
    SpecError::invalid(format!("spec.template.spec.{field}"), value, format!("{why}: remove it"))
}

pub(super) fn check_annotations(annotations: Option<&BTreeMap<String, String>>) -> Result<(), SpecError> {
    for (name, profile) in annotations.into_iter().flatten() {
        let allowed = profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/");
        if name.starts_with(APPARMOR_ANNOTATION) && !allowed {
            let field = format!("spec.template.metadata.annotations[{name}]");
            return Err(SpecError::invalid(field, profile, "executors keep the AppArmor profile: remove it"));
        }
    }
    Ok(())
}

pub(super) fn check_pod(pod: &PodSpec) -> Result<(), SpecError> {
    for volume in pod.volumes.iter().flatten() {
        let value = serde_json::to_value(volume).unwrap_or_default();
        let mut kinds = value.as_object().into_iter().flatten().map(|(kind, _)| kind.as_str());
        if let Some(kind) = kinds.find(|kind| *kind != "name" && !VOLUMES.contains(kind)) {
            let field = format!("volumes[{}].{kind}", volume.name);
            return Err(forbidden(&field, "(set)", "this kind of volume is not allowed, use a claim"));
        }
    }
    let Some(context) = &pod.security_context else { return Ok(()) };
    let path = "securityContext";
    check_user(context.run_as_user, context.run_as_non_root, path)?;
    check_group(context.run_as_group, &format!("{path}.runAsGroup"))?;
    check_group(context.fs_group, &format!("{path}.fsGroup"))?;
    for group in context.supplemental_groups.iter().flatten() {
        check_group(Some(*group), &format!("{path}.supplementalGroups"))?;
    }
    for sysctl in context.sysctls.iter().flatten() {
        if !SYSCTLS.contains(&sysctl.name.as_str()) {
            return Err(forbidden(&format!("{path}.sysctls"), &sysctl.name, "it is not a safe sysctl"));
        }
    }
    check_seccomp(context.seccomp_profile.as_ref(), path)?;
    check_apparmor(context.app_armor_profile.as_ref(), path)?;
    check_selinux(context.se_linux_options.as_ref(), path)?;
    check_windows(context.windows_options.as_ref().and_then(|options| options.host_process), path)
}

pub(super) fn check_container(
    container: &Container,
    pod: Option<&PodSecurityContext>,
    path: &str,
) -> Result<(), SpecError> {
    for port in container.ports.iter().flatten() {
        if let Some(host) = port.host_port.filter(|port| *port != 0) {
            return Err(forbidden(
                &format!("{path}.ports.hostPort"),
                &host.to_string(),
                "executors take no ports of nodes, use a Service",
            ));
        }
    }
    check_hosts(container, path)?;
    let context = container.security_context.clone().unwrap_or_default();
    let path = format!("{path}.securityContext");
    check_user(context.run_as_user, context.run_as_non_root, &path)?;
    check_group(context.run_as_group, &format!("{path}.runAsGroup"))?;
    // Absent in both, which a null in the template does, the image or the node decides.
    if context.run_as_non_root.or(pod.and_then(|pod| pod.run_as_non_root)) != Some(true) {
        return Err(forbidden(&format!("{path}.runAsNonRoot"), "null", "executors do not run as root"));
    }
    if context.run_as_group.or(pod.and_then(|pod| pod.run_as_group)).is_none() {
        let why = "the image's group may be root's: set it to another than 0, or keep the operator's";
        return Err(forbidden("securityContext.runAsGroup", "null", why));
    }
    let profile = context.seccomp_profile.as_ref();
    check_seccomp(profile, &path)?;
    if profile.or(pod.and_then(|pod| pod.seccomp_profile.as_ref())).is_none() {
        return Err(forbidden("securityContext.seccompProfile", "null", "system calls are filtered"));
    }
    check_apparmor(context.app_armor_profile.as_ref(), &path)?;
    check_selinux(context.se_linux_options.as_ref(), &path)?;
    if let Some(mount) = context.proc_mount.filter(|mount| mount != "Default") {
        return Err(forbidden(&format!("{path}.procMount"), &mount, "parts of /proc stay hidden"));
    }
    check_windows(context.windows_options.and_then(|options| options.host_process), &path)
}

/// A probe or hook of another host makes the node send requests there.
fn check_hosts(container: &Container, path: &str) -> Result<(), SpecError> {
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    let lifecycle = container.lifecycle.as_ref();
    let handlers: [Option<&LifecycleHandler>; 2] = [
        lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()),
        lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()),
    ];
    let probes = probes.into_iter().flatten().map(serde_json::to_value);
    let handlers = handlers.into_iter().flatten().map(serde_json::to_value);
    for handler in probes.chain(handlers).flatten() {
        for kind in ["httpGet", "tcpSocket"] {
            let host = handler.get(kind).and_then(|action| action.get("host")).and_then(Value::as_str);
            if let Some(host) = host.filter(|host| !host.is_empty()) {
                let why = "probes and hooks reach only their own pod";
                return Err(forbidden(&format!("{path}.{kind}.host"), host, why));
            }
        }
    }
    Ok(())
}

fn check_user(user: Option<i64>, non_root: Option<bool>, path: &str) -> Result<(), SpecError> {
    if user == Some(0) {
        return Err(forbidden(&format!("{path}.runAsUser"), "0", "executors do not run as root"));
    }
    if non_root == Some(false) {
        return Err(forbidden(&format!("{path}.runAsNonRoot"), "false", "executors do not run as root"));
    }
    Ok(())
}

fn check_group(group: Option<i64>, field: &str) -> Result<(), SpecError> {
    if group == Some(0) {
        return Err(forbidden(field, "0", "executors are not in the group of root"));
    }
    Ok(())
}

fn check_seccomp(profile: Option<&SeccompProfile>, path: &str) -> Result<(), SpecError> {
    match profile {
        Some(profile) if !matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost") => {
            let field = format!("{path}.seccompProfile.type");
            Err(forbidden(&field, &profile.type_, "system calls are filtered by RuntimeDefault or Localhost"))
        }
        _ => Ok(()),
    }
}

fn check_apparmor(profile: Option<&AppArmorProfile>, path: &str) -> Result<(), SpecError> {
    match profile {
        Some(profile) if !matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost") => {
            let field = format!("{path}.appArmorProfile.type");
            Err(forbidden(&field, &profile.type_, "executors keep the AppArmor profile"))
        }
        _ => Ok(()),
    }
}

fn check_selinux(options: Option<&SELinuxOptions>, path: &str) -> Result<(), SpecError> {
    let Some(options) = options else { return Ok(()) };
    let path = format!("{path}.seLinuxOptions");
    let why = "executors keep the label of containers";
    if let Some(kind) = options.type_.as_deref().filter(|kind| !SELINUX_TYPES.contains(kind)) {
        return Err(forbidden(&format!("{path}.type"), kind, why));
    }
    for (field, value) in [("user", &options.user), ("role", &options.role)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            return Err(forbidden(&format!("{path}.{field}"), value, why));
        }
    }
    Ok(())
}

fn check_windows(host_process: Option<bool>, path: &str) -> Result<(), SpecError> {
    if host_process == Some(true) {
        let field = format!("{path}.windowsOptions.hostProcess");
        return Err(forbidden(&field, "true", "executors do not run as processes of the node"));
    }
    Ok(())
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod tests {
    use super::super::pod_template::Serves;
    use serde_json::{Value, json};

    use crate::{
        api::{executor_deployment::ExecutorDeployment, metadata::Owner},
        snapshot::Policy,
    };

    pub(super) fn check(template: &Value) -> Result<(), String> {
        let object: ExecutorDeployment = serde_json::from_value(json!({
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "e", "namespace": "n", "uid": "u", "generation": 1},
            "spec": {"executorType": "t", "image": "i:1", "template": template},
        }))
        .unwrap();
        let owner = Owner::of(&object).unwrap();
        let colony = crate::snapshot::fixtures::resolved();
        let policy = Policy::default();
        super::super::pod_template::build(&owner, &object.spec, &policy, &colony, Serves::As("e"), None)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    fn pod(more: &Value) -> Result<(), String> {
        check(&json!({"spec": more}))
    }

    /// A second container beside the executor's, with what a container must say itself.
    fn container(security: &Value, more: &Value) -> Value {
        let mut context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        context.as_object_mut().unwrap().extend(security.as_object().unwrap().clone());
        let mut container = json!({"name": "c", "image": "i:1", "securityContext": context});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        container
    }

    #[test]
    fn a_template_asks_for_nothing_that_the_standard_refuses() {
        for (field, more) in [
            ("nodeName", json!({"nodeName": "node-0"})),
            ("priorityClassName", json!({"priorityClassName": "system-node-critical"})),
            ("automountServiceAccountToken", json!({"automountServiceAccountToken": null})),
            ("automountServiceAccountToken", json!({"automountServiceAccountToken": true})),
            ("hostPID", json!({"hostPID": true})),
            ("nfs", json!({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]})),
            (
                "iscsi",
                json!({"volumes": [{"name": "v", "iscsi": {"targetPortal": "p", "iqn": "i", "lun": 0}}]}),
            ),
            (
                "projected",
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
            ),
            ("runAsNonRoot", json!({"securityContext": null})),
        ] {
            let error = pod(&more).unwrap_err();
            assert!(error.contains(field), "{more}: {error}");
        }
        for (field, context) in [
            ("seccompProfile", json!({"seccompProfile": null})),
            ("seccompProfile", json!({"seccompProfile": {"type": "Unconfined"}})),
            ("runAsNonRoot", json!({"runAsNonRoot": null})),
            ("runAsNonRoot", json!({"runAsNonRoot": false})),
            ("runAsUser", json!({"runAsUser": 0})),
            ("runAsGroup", json!({"runAsGroup": 0})),
            ("runAsGroup", json!({"runAsGroup": null})),
            ("fsGroup", json!({"fsGroup": 0})),
            ("supplementalGroups", json!({"supplementalGroups": [1000, 0]})),
            ("sysctls", json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
            ("appArmorProfile", json!({"appArmorProfile": {"type": "Unconfined"}})),
            ("seLinuxOptions.type", json!({"seLinuxOptions": {"type": "spc_t"}})),
            ("seLinuxOptions.role", json!({"seLinuxOptions": {"role": "r"}})),
            ("hostProcess", json!({"windowsOptions": {"hostProcess": true}})),
        ] {
            let error = pod(&json!({"securityContext": context})).unwrap_err();
            assert!(error.contains(field), "{context}: {error}");
        }
        let annotation = "container.apparmor.security.beta.kubernetes.io/executor";
        assert!(check(&json!({"metadata": {"annotations": {annotation: "unconfined"}}})).is_err());
    }

    #[test]
    fn every_container_keeps_to_the_standard() {
        for (field, security, more) in [
            ("seccompProfile", json!({"seccompProfile": {"type": "Unconfined"}}), json!({})),
            ("runAsNonRoot", json!({"runAsNonRoot": false}), json!({})),
            ("runAsGroup", json!({"runAsGroup": 0}), json!({})),
            ("privileged", json!({"privileged": true}), json!({})),
            ("allowPrivilegeEscalation", json!({"allowPrivilegeEscalation": null}), json!({})),
            ("capabilities.drop", json!({"capabilities": {}}), json!({})),
            ("capabilities.add", json!({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}), json!({})),
            ("procMount", json!({"procMount": "Unmasked"}), json!({})),
            ("appArmorProfile", json!({"appArmorProfile": {"type": "Unconfined"}}), json!({})),
            ("seLinuxOptions", json!({"seLinuxOptions": {"user": "u"}}), json!({})),
            ("hostProcess", json!({"windowsOptions": {"hostProcess": true}}), json!({})),
            ("hostPort", json!({}), json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
            (
                "httpGet.host",
                json!({}),
                json!({"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}),
            ),
            (
                "tcpSocket.host",
                json!({}),
                json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 80, "host": "h"}}}}),
            ),
        ] {
            for group in ["containers", "initContainers"] {
                let error = pod(&json!({group: [container(&security, &more)]})).unwrap_err();
                assert!(error.contains(field) && error.contains(group), "{group} {security} {more}: {error}");
            }
        }
    }

    #[test]
    fn what_the_standard_allows_is_kept() {
        for more in [
            json!({}),
            json!({"priorityClassName": "batch", "hostPID": false, "nodeSelector": {"a": "b"}}),
            json!({"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}}}),
            json!({"securityContext": {"runAsUser": null, "fsGroup": null, "supplementalGroups": [1000]}}),
            json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}}),
            json!({"securityContext": {"seLinuxOptions": {"type": "container_t", "level": "s0"}}}),
            json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}),
            json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "s"}},
                {"name": "c", "configMap": {"name": "c"}}, {"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}),
            json!({"containers": [container(
                &json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "procMount": "Default"}),
                &json!({"ports": [{"containerPort": 80, "hostPort": 0}], "livenessProbe": {"httpGet": {"port": 80}}}),
            )]}),
        ] {
            assert_eq!(pod(&more), Ok(()), "{more}");
        }
    }
}
