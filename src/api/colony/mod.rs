//! `Colony`: a connection to a colony. The server, the credentials and the namespaces that may use it.

mod spec;
mod status;

pub use spec::{
    AllowedNamespaces, Colony, ColonyServer, ColonySpec, DefinitionPolicy, Inbound, InboundPolicy,
    NamespacesFrom,
};
pub use status::{ColonyStatus, ExecutorCounts, ProcessCounts, ServerStatus};
