//! `ColonyCrons`, with the processes that they create.

use colonyos_operator::{
    controllers::CronStages,
    watch::{
        colony_cron::CronReader,
        stores::{self, Scope},
    },
};
use serde_json::json;

use crate::{
    engines::{Caches, Controller},
    kind::{Engines, Kind, WORKER_TYPE},
    memory::NAMESPACE,
};

/// Seconds between two runs.
pub const PERIOD: i64 = 120;

/// Crons that create a process every two minutes.
pub fn cron(concurrency: &str) -> Kind {
    Kind {
        name: format!("ColonyCron, {concurrency}"),
        resource: "colonycrons.colonies.io",
        object: json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyCron",
            "metadata": {"name": "NAME", "namespace": NAMESPACE},
            "spec": {
                "schedule": "*/2 * * * *", "concurrencyPolicy": concurrency,
                "successfulHistoryLimit": 2, "failedHistoryLimit": 1,
                "processTemplate": {"spec": {
                    "function": "encode", "conditions": {"executorType": WORKER_TYPE},
                }},
            },
        }),
        edit: |number| {
            let args = json!([number.to_string()]);
            json!({"spec": {"processTemplate": {"spec": {"args": args}}}})
        },
        settled: |_, _| Ok(()),
        pace: 5,
        ..Kind::of(Engines::Crons)
    }
}

/// The controller of crons; that of processes is another.
pub async fn start(mut caches: Caches<'_>) -> Box<dyn Controller> {
    let services = caches.services;
    let (client, writes) = (&services.kubernetes.watches, &services.writes);
    let scope = &Scope::Cluster;
    let objects = caches.objects(stores::colony_crons(client, scope, writes)).await;
    let (processes, _) = caches.store(stores::colony_processes(client, scope, writes)).await;
    let (workflows, _) = caches.store(stores::colony_workflows(client, scope, writes)).await;
    let mut filled = caches.filled();
    filled.push(objects.filled.clone());
    let (writes, clock) = (writes.clone(), services.clock.clone());
    let reader = CronReader { processes, workflows, filled, writes, clock };
    caches.controller(objects, CronStages { reader })
}
