//! How a command reaches the cluster: the same options for every command that does.

use std::path::PathBuf;

use clap::{Arg, Args};
use http::HeaderValue;

use super::Failure;
use crate::runtime::kubernetes::{self, Kubernetes};

/// Which cluster, and where in it.
#[derive(Debug, Args)]
pub(super) struct Connection {
    /// Kubeconfig file [default: KUBECONFIG, `~/.kube/config`, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
}

impl Connection {
    /// Connects; the namespace is the one that is named, if one is.
    ///
    /// # Errors
    ///
    /// When there is no usable configuration.
    pub(super) async fn connect(&self) -> Result<Kubernetes, Failure> {
        let mut kubernetes =
            kubernetes::connect_by(self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        if let Some(namespace) = &self.namespace {
            kubernetes.namespace.clone_from(namespace);
        }
        Ok(kubernetes)
    }

    /// The bearer token by which it connects; none for a client certificate.
    ///
    /// # Errors
    ///
    /// When there is no usable configuration.
    pub(super) async fn token(&self) -> Result<Option<HeaderValue>, Failure> {
        Ok(kubernetes::token_by(self.kubeconfig.as_deref(), self.context.as_deref()).await?)
    }
}

/// The option for the namespace, for commands that are about the operator itself.
pub(super) fn of_operator(namespace: Arg) -> Arg {
    namespace.env("POD_NAMESPACE").help(
        "The operator's own namespace: its lease and the Secrets of Colonies [default: the pod's, or the context's]",
    )
}
