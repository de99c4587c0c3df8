//! Which programs the development cluster is made of, and how each is built.
//!
//! Versions stand in the `go.mod` files under `deploy/tools`; the few that a program must be told at link time, because
//! Go does not do it, are read from there.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context, Result};

use crate::repository;

/// One program, built from a package of the module under `deploy/tools/<set>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// Name of the binary.
    pub name: &'static str,
    /// Folder under `deploy/tools`, or one of those beside the rung `interop`.
    pub set: &'static str,
    /// Go package.
    package: &'static str,
    /// Module whose version the program is told at link time, and the variables that take it.
    version: Option<(&'static str, VersionVariables)>,
}

/// How a program wants to be told its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VersionVariables {
    /// The variables of `k8s.io/component-base/version`; without them components report v0.0.0.
    Kubernetes,
    /// The variable of Helm, and those of its packages that take the Kubernetes it is made for; without them a chart is
    /// rendered for 1.20 where no cluster is asked. Helm 4 reads that from its own modules.
    Helm(&'static str, &'static [&'static str]),
}

const KUBERNETES: Option<(&str, VersionVariables)> =
    Some(("k8s.io/kubernetes", VersionVariables::Kubernetes));

const fn kubernetes(name: &'static str, package: &'static str) -> Tool {
    Tool { name, set: "kubernetes", package, version: KUBERNETES }
}

const fn tool(name: &'static str, set: &'static str, package: &'static str) -> Tool {
    Tool { name, set, package, version: None }
}

/// All programs, the slowest to build first, so that it is not left alone at the end.
pub const TOOLS: &[Tool] = &[
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Tool {
        name: "helm",
        set: "helm",
        package: "helm.sh/helm/v3/cmd/helm",
        version: Some((
            "helm.sh/helm/v3",
            VersionVariables::Helm(
                "helm.sh/helm/v3/internal/version.version",
                &["helm.sh/helm/v3/pkg/lint/rules", "helm.sh/helm/v3/pkg/chartutil"],
            ),
        )),
    },
    Tool {
        name: "helm4",
        set: "helm4",
        package: "helm.sh/helm/v4/cmd/helm",
        version: Some((
            "helm.sh/helm/v4",
            VersionVariables::Helm("helm.sh/helm/v4/internal/version.version", &[]),
        )),
    },
    tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    tool("kwokctl", "kwok", "sigs.k8s.io/kwok/cmd/kwokctl"),
    tool("colonies", "colonies", "github.com/colonyos/colonies/cmd"),
    tool("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    tool("containerd", "containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
    kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    tool("ctr", "containerd", "github.com/containerd/containerd/v2/cmd/ctr"),
    tool(
        "containerd-shim-runc-v2",
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    ),
    tool("pause", "pause", "tools/pause"),
    tool("requests-in-go", INTEROP, "requests-in-go"),
    tool("kstatus-in-go", KSTATUS, "kstatus-in-go"),
];

/// The programs of others that the rung `interop` runs.
pub const INTEROP_PROGRAMS: &[&str] = &["requests-in-go", "kstatus-in-go"];
/// Their sets, which stand beside the tests.
const INTEROP: &str = "interop";
const KSTATUS: &str = "kstatus";

/// What a control plane with kwok nodes needs.
pub const CONTROL_PLANE: &[&str] =
    &["kube-apiserver", "kwok", "kwokctl", "etcd", "kube-controller-manager", "kube-scheduler", "kubectl"];
/// What a real node needs besides.
pub const NODE: &[&str] = &["containerd", "containerd-shim-runc-v2", "ctr", "kubelet", "kube-proxy", "pause"];
/// The versions of Helm that the charts are for.
pub const HELMS: &[&str] = &["helm", "helm4"];
/// What a colony needs.
pub const COLONY: &[&str] = &["colonies"];

impl Tool {
    /// Folder of the Go module that it is built from.
    pub fn folder(&self) -> PathBuf {
        match self.set {
            INTEROP => repository::root().join("tests/interop/program"),
            KSTATUS => repository::root().join("tests/interop/kstatus"),
            set => repository::root().join("deploy/tools").join(set),
        }
    }

    /// Import path of the Go package.
    pub fn package(&self) -> &'static str {
        self.package
    }

    /// The `-ldflags` argument: no debug information, and the version where the program cannot know it.
    ///
    /// # Errors
    /// When `go.mod` cannot be read or does not name the module.
    pub fn linker_flags(&self) -> Result<String> {
        let Some((module, variables)) = self.version else {
            return Ok("-s -w".to_owned());
        };
        let version = module_version(self.set, module)?;
        Ok(match variables {
            VersionVariables::Helm(variable, packages) => {
                // As upstream's Makefile has it: v0.37.0 of the client is that of Kubernetes 1.37.
                let client = module_version(self.set, "k8s.io/client-go")?;
                let minor = client.split('.').nth(1).unwrap_or("0");
                let mut flags = format!("-s -w -X {variable}={version}");
                for package in packages {
                    let _ =
                        write!(flags, " -X {package}.k8sVersionMajor=1 -X {package}.k8sVersionMinor={minor}");
                }
                flags
            }
            VersionVariables::Kubernetes => {
                let mut numbers = version.trim_start_matches('v').split('.');
                let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
                let package = "k8s.io/component-base/version";
                format!(
                    "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
                     -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
                )
            }
        })
    }
}

/// The version of `module` that `deploy/tools/<set>/go.mod` requires, for example `v1.36.3`.
///
/// # Errors
/// When the file cannot be read or does not name the module.
fn module_version(set: &str, module: &str) -> Result<String> {
    let file = repository::root().join("deploy/tools").join(set).join("go.mod");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    required_version(&text, module)
        .with_context(|| format!("failed to find the version of {module} in {}", file.display()))
}

fn required_version(go_mod: &str, module: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        (words.next() == Some(module))
            .then(|| words.next().filter(|word| word.starts_with('v')).map(str::to_owned))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_programs_is_in_the_catalog() {
        for name in CONTROL_PLANE.iter().chain(NODE).chain(COLONY).chain(HELMS) {
            assert!(TOOLS.iter().any(|tool| tool.name == *name), "{name} is not in the catalog");
        }
    }

    #[test]
    fn every_program_has_linker_flags() {
        for tool in TOOLS {
            let flags = tool.linker_flags().unwrap();
            assert_eq!(flags.contains("-X"), tool.version.is_some(), "{}", tool.name);
        }
    }

    #[test]
    fn helm_knows_which_kubernetes_it_is_made_for() {
        let helm = TOOLS.iter().find(|tool| tool.name == "helm").unwrap();
        let flags = helm.linker_flags().unwrap();
        assert!(flags.contains("chartutil.k8sVersionMajor=1 "), "{flags}");
        let client = module_version("helm", "k8s.io/client-go").unwrap();
        let minor = client.split('.').nth(1).unwrap();
        assert!(flags.contains(&format!("chartutil.k8sVersionMinor={minor}")), "{flags}");
    }

    #[test]
    fn a_version_is_found_in_a_block_and_alone_but_not_in_a_replacement() {
        let text = "require a/b v1.2.3\nrequire (\n\tc/d v2.0.0 // indirect\n)\nreplace e/f => e/f v0.1.0\n";
        assert_eq!(required_version(text, "a/b").as_deref(), Some("v1.2.3"));
        assert_eq!(required_version(text, "c/d").as_deref(), Some("v2.0.0"));
        assert_eq!(required_version(text, "e/f"), None);
    }
}
