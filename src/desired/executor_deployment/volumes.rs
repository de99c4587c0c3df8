//! Volumes of an executor: the typed forms, and the one-word `source`. Pure.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};

use crate::{api::executor_deployment as api, kinds::SpecError, snapshot::Policy};

/// Makes a pod's volumes and the container's mounts of them.
///
/// # Errors
///
/// When a volume has no source, two, an unknown one, or a directory of the node that is not allowed.
pub fn build(volumes: &[api::Volume], policy: &Policy) -> Result<(Vec<Volume>, Vec<VolumeMount>), SpecError> {
    let mut built = (Vec::new(), Vec::new());
    for (index, wanted) in volumes.iter().enumerate() {
        let name = format!("volume-{index}");
        let field = format!("spec.config.volumes[{index}]");
        let source = Source::of(wanted, &field)?;
        let read_only = source.read_only(wanted, policy, &field)?;
        built.0.push(source.volume(name.clone()));
        built.1.push(VolumeMount {
            name,
            mount_path: wanted.target.clone(),
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        });
    }
    Ok(built)
}

/// What is mounted.
enum Source<'a> {
    EmptyDir(Option<&'a api::EmptyDirVolume>),
    PersistentVolumeClaim(&'a str),
    ConfigMap(&'a str),
    Secret(&'a str),
    HostPath(&'a str),
}

impl<'a> Source<'a> {
    fn of(volume: &'a api::Volume, field: &str) -> Result<Self, SpecError> {
        let one_word = volume.source.as_deref().map(|source| Self::parse(source, field)).transpose()?;
        let mut sources = [
            one_word,
            volume.empty_dir.as_ref().map(|empty_dir| Self::EmptyDir(Some(empty_dir))),
            volume.persistent_volume_claim.as_deref().map(Self::PersistentVolumeClaim),
            volume.config_map.as_deref().map(Self::ConfigMap),
            volume.secret.as_deref().map(Self::Secret),
        ]
        .into_iter()
        .flatten();
        match (sources.next(), sources.next()) {
            (Some(source), None) => Ok(source),
            _ => Err(SpecError::invalid(
                field,
                format!("the volume at {:?}", volume.target),
                "give exactly one of source, emptyDir, persistentVolumeClaim, configMap and secret",
            )),
        }
    }

    fn parse(source: &'a str, field: &str) -> Result<Self, SpecError> {
        match source.split_once('/') {
            None if source == "emptyDir" => Ok(Self::EmptyDir(None)),
            Some(("", _)) => Ok(Self::HostPath(source)),
            Some(("persistentVolumeClaim", name)) => Ok(Self::PersistentVolumeClaim(name)),
            Some(("configMap", name)) => Ok(Self::ConfigMap(name)),
            Some(("secret", name)) => Ok(Self::Secret(name)),
            _ => Err(SpecError::invalid(
                format!("{field}.source"),
                format!("{source:?}"),
                "use emptyDir, persistentVolumeClaim/NAME, configMap/NAME, secret/NAME or an absolute path",
            )),
        }
    }

    /// Whether the mount is read-only. Directories of the node are, unless both the user and the configuration allow
    /// writing.
    fn read_only(&self, volume: &api::Volume, policy: &Policy, field: &str) -> Result<bool, SpecError> {
        let Self::HostPath(path) = self else { return Ok(volume.read_only.unwrap_or_default()) };
        let allowed = policy.host_paths.entry_for(path).ok_or_else(|| {
            SpecError::invalid(
                format!("{field}.source"),
                format!("{path:?}"),
                "folders of nodes may be mounted only below the prefixes in hostPaths.allowed of the operator's \
                 configuration: use a persistentVolumeClaim, or have the prefix allowed",
            )
        })?;
        match volume.read_only {
            Some(false) if allowed.writable => Ok(false),
            Some(false) => Err(SpecError::invalid(
                format!("{field}.readOnly"),
                "false",
                format!(
                    "below {} the operator's configuration allows reading only: remove readOnly",
                    allowed.prefix
                ),
            )),
            None | Some(true) => Ok(true),
        }
    }

    fn volume(self, name: String) -> Volume {
        let mut volume = Volume { name, ..Volume::default() };
        match self {
            Self::EmptyDir(empty_dir) => {
                let size_limit = empty_dir.and_then(|empty_dir| empty_dir.size_limit.clone());
                volume.empty_dir = Some(EmptyDirVolumeSource { medium: None, size_limit });
            }
            Self::PersistentVolumeClaim(claim_name) => {
                volume.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim_name.to_owned(),
                    read_only: None,
                });
            }
            Self::ConfigMap(name) => {
                volume.config_map =
                    Some(ConfigMapVolumeSource { name: name.to_owned(), ..ConfigMapVolumeSource::default() });
            }
            Self::Secret(name) => {
                volume.secret = Some(SecretVolumeSource {
                    secret_name: Some(name.to_owned()),
                    ..SecretVolumeSource::default()
                });
            }
            Self::HostPath(path) => {
                volume.host_path =
                    Some(HostPathVolumeSource { path: path.to_owned(), type_: Some("Directory".to_owned()) });
            }
        }
        volume
    }
}
