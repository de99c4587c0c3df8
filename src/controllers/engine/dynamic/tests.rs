use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    controllers::engine::pass::tests::services, memory::position_log::PositionLogs, snapshot::fixtures::kind,
};

/// A pass over a definition that was under way began a controller that nothing ended: it wrote while the lease was given up.
#[tokio::test]
async fn nothing_is_begun_after_the_shutdown() {
    let services = Arc::new(services());
    let flows = stores::request_flows(&services.kubernetes.watches, &Scope::Cluster);
    let requests = Requests {
        flows: flows.store.clone(),
        filled: flows.filled.clone(),
        roles: services.configuration.request_roles.clone(),
        position_log: PositionLogs::default(),
    };
    let (instances, changing) = Instances::new(services, MirroredKinds::default(), requests);
    let kind = kind(json!({ "handler": { "mode": "process", "executorType": "t" } }), None);
    let definitions = Requeuer::new(Vec::new());
    instances.serve("things.g.example.com", kind.clone(), &definitions).await;
    assert!(
        instances.watched("things.g.example.com").is_none() && !instances.mirrored_kinds.all().is_empty()
    );
    let shutdown = Shutdown::default();
    shutdown.request();
    instances.clone().watch(changing, shutdown).await;
    assert!(instances.mirrored_kinds.all().is_empty(), "what ran has ended");
    instances.serve("things.g.example.com", kind, &definitions).await;
    assert!(instances.mirrored_kinds.all().is_empty());
}
