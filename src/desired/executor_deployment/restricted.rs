//! What a pod template may not ask for. Permission to create an `ExecutorDeployment` must not give access to a node:
//! the operator's own rights are wider than theirs. Pure.

use k8s_openapi::{
    api::core::v1::{Container, PodSpec, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    environment::{self, EXECUTOR_ID, EXECUTOR_NAME, PRIVATE_KEY},
    standard::{self, forbidden},
};
use crate::{
    api::{
        metadata::Owner,
        names::{BUSY_LABEL, BUSY_WITH_ANNOTATION, EXECUTOR_CONTAINER},
    },
    kinds::SpecError,
    snapshot::Policy,
};

/// Checks a template, with the user's part merged in, against the *restricted* pod security standard and the
/// operator's configuration.
///
/// # Errors
///
/// Names the first field that asks for too much.
pub fn check(template: &PodTemplateSpec, policy: &Policy, owner: &Owner) -> Result<(), SpecError> {
    let Some(pod) = &template.spec else { return Ok(()) };
    check_host(pod)?;
    check_volumes(pod, policy)?;
    check_service_account(pod, policy)?;
    check_identity(pod, owner)?;
    check_scheduling(pod)?;
    if let Some(metadata) = &template.metadata {
        check_metadata(metadata)?;
    }
    standard::check_annotations(
        template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref()),
    )?;
    standard::check_pod(pod)?;
    let groups = [("containers", Some(&pod.containers)), ("initContainers", pod.init_containers.as_ref())];
    for (group, containers) in groups {
        for container in containers.into_iter().flatten() {
            let path = format!("{group}[{}]", container.name);
            check_container(container, &path)?;
            standard::check_container(container, pod.security_context.as_ref(), &path)?;
        }
    }
    Ok(())
}

/// A budget protects pods that say that they are busy: one that says so for ever would hold its node for ever.
fn check_metadata(metadata: &ObjectMeta) -> Result<(), SpecError> {
    let refuse = |field: &str, name: &str| {
        let remedy = "the operator writes it on pods whose executor runs something: remove it";
        Err(SpecError::invalid(format!("spec.template.metadata.{field}[{name}]"), "(set)", remedy))
    };
    if metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(BUSY_LABEL)) {
        return refuse("labels", BUSY_LABEL);
    }
    let annotations = metadata.annotations.as_ref();
    if annotations.is_some_and(|annotations| annotations.contains_key(BUSY_WITH_ANNOTATION)) {
        return refuse("annotations", BUSY_WITH_ANNOTATION);
    }
    Ok(())
}

/// Where pods run and what they displace is the scheduler's to decide.
fn check_scheduling(pod: &PodSpec) -> Result<(), SpecError> {
    if let Some(node) = pod.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Err(forbidden("nodeName", node, "it evades the scheduler and taints, use nodeSelector"));
    }
    if let Some(class) = pod.priority_class_name.as_deref().filter(|class| class.starts_with("system-")) {
        return Err(forbidden("priorityClassName", class, "executors do not displace the system's pods"));
    }
    if pod.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        return Err(forbidden("ephemeralContainers", "(set)", "a template has none"));
    }
    Ok(())
}

fn check_host(pod: &PodSpec) -> Result<(), SpecError> {
    for (field, value) in
        [("hostNetwork", pod.host_network), ("hostPID", pod.host_pid), ("hostIPC", pod.host_ipc)]
    {
        if value == Some(true) {
            return Err(forbidden(field, "true", "executors do not share namespaces with the node"));
        }
    }
    Ok(())
}

fn check_volumes(pod: &PodSpec, policy: &Policy) -> Result<(), SpecError> {
    for volume in pod.volumes.iter().flatten() {
        let Some(host_path) = &volume.host_path else { continue };
        let field = format!("volumes[{}].hostPath.path", volume.name);
        let Some(allowed) = policy.host_paths.entry_for(&host_path.path) else {
            return Err(forbidden(
                &field,
                &host_path.path,
                "the operator's configuration does not allow this folder of nodes (hostPaths.allowed)",
            ));
        };
        let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
        let written = containers
            .flat_map(|container| container.volume_mounts.iter().flatten())
            .any(|mount| mount.name == volume.name && mount.read_only != Some(true));
        if written && !allowed.writable {
            return Err(forbidden(
                &field,
                &host_path.path,
                "it is mounted for writing, which is not allowed there",
            ));
        }
    }
    Ok(())
}

fn check_service_account(pod: &PodSpec, policy: &Policy) -> Result<(), SpecError> {
    let names = [pod.service_account_name.as_deref(), pod.service_account.as_deref()];
    for name in names.into_iter().flatten().filter(|name| !name.is_empty()) {
        if !policy.service_accounts.allows(name) {
            return Err(SpecError::invalid(
                "spec.serviceAccountName",
                format!("{name:?}"),
                "not among serviceAccounts.allowed of the operator's configuration: remove it, or have it allowed",
            ));
        }
    }
    if names.into_iter().flatten().any(|name| !name.is_empty()) {
        return Ok(());
    }
    // Absent means true: a null in the template would give the token of the default account.
    if pod.automount_service_account_token != Some(false) {
        return Err(SpecError::invalid(
            "spec.template.spec.automountServiceAccountToken",
            pod.automount_service_account_token.map_or("null", |_| "true"),
            "pods get a token only with a serviceAccountName: remove it",
        ));
    }
    for volume in pod.volumes.iter().flatten() {
        let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
        for source in sources.into_iter().flatten() {
            // Both prove that the pod is of the service account.
            for (field, is_set) in [
                ("serviceAccountToken", source.service_account_token.is_some()),
                ("podCertificate", source.pod_certificate.is_some()),
            ] {
                if is_set {
                    let path = format!("volumes[{}].projected.sources", volume.name);
                    return Err(forbidden(&path, field, "pods get a token only with a serviceAccountName"));
                }
            }
        }
    }
    Ok(())
}

/// The executor's identity is the operator's to give, and the keys of colonies are no pod's.
fn check_identity(pod: &PodSpec, owner: &Owner) -> Result<(), SpecError> {
    let groups = [("containers", Some(&pod.containers)), ("initContainers", pod.init_containers.as_ref())];
    for (group, container) in groups
        .into_iter()
        .flat_map(|(group, containers)| containers.into_iter().flatten().map(move |one| (group, one)))
    {
        for variable in container.env.iter().flatten() {
            let field = format!("{group}[{}].env[{}]", container.name, variable.name);
            let given = if variable.value_from.is_some() { "valueFrom" } else { "value" };
            match variable.name.as_str() {
                "COLONIES_COLONY_PRVKEY" | "COLONIES_SERVER_PRVKEY" => {
                    return Err(forbidden(
                        &format!("{field}.{given}"),
                        "(a key)",
                        "executors have no key but their own",
                    ));
                }
                PRIVATE_KEY if !environment::is_identity(owner, variable) => {
                    return Err(forbidden(
                        &format!("{field}.{given}"),
                        "(a key)",
                        "the operator gives each executor its key",
                    ));
                }
                EXECUTOR_NAME | EXECUTOR_ID
                    if container.name == EXECUTOR_CONTAINER && !environment::is_identity(owner, variable) =>
                {
                    let why = "the operator gives each executor its name and id";
                    return Err(forbidden(&format!("{field}.{given}"), "(set)", why));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_container(container: &Container, path: &str) -> Result<(), SpecError> {
    let Some(context) = &container.security_context else {
        return Err(forbidden(
            &format!("{path}.securityContext"),
            "absent",
            "every container is hardened; write allowPrivilegeEscalation: false and capabilities: {drop: [ALL]}",
        ));
    };
    if context.privileged == Some(true) {
        return Err(forbidden(
            &format!("{path}.securityContext.privileged"),
            "true",
            "executors are not privileged",
        ));
    }
    if context.allow_privilege_escalation != Some(false) {
        return Err(forbidden(
            &format!("{path}.securityContext.allowPrivilegeEscalation"),
            "true",
            "executors do not gain privileges",
        ));
    }
    let capabilities = context.capabilities.as_ref();
    let dropped = capabilities.and_then(|capabilities| capabilities.drop.as_ref());
    if !dropped.is_some_and(|dropped| dropped.iter().any(|capability| capability == "ALL")) {
        return Err(forbidden(
            &format!("{path}.securityContext.capabilities.drop"),
            "without ALL",
            "executors have no capabilities",
        ));
    }
    let added = capabilities.and_then(|capabilities| capabilities.add.as_ref()).into_iter().flatten();
    for capability in added {
        if capability != "NET_BIND_SERVICE" {
            return Err(forbidden(
                &format!("{path}.securityContext.capabilities.add"),
                capability,
                "executors have no capabilities",
            ));
        }
    }
    Ok(())
}
