//! The objects of the test: what was asked for, how far each is, and what it must come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use colonyos_operator::api::{
    executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
    mirror::MirrorState,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    stage::Stage,
    support::{
        conditions::Conditions as _,
        stage::{executor_deployment, is_closed},
        wait::eventually,
    },
};

/// How an object goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Its pods get ready, so its processes are closed as successful.
    Steady,
    /// No node takes its pods, so its processes run until they are cancelled.
    Stuck,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How it goes about it.
    pub manner: Manner,
    /// UID of the object.
    pub uid: String,
    /// How many generations were asked for: each is to be one process.
    pub generations: i64,
    /// Whether it was deleted in the end.
    pub deleted: bool,
}

/// All objects, by name.
pub struct Fleet {
    api: Api<ExecutorDeployment>,
    colony: String,
    asked: Mutex<BTreeMap<String, Asked>>,
}

impl Fleet {
    /// No objects yet.
    pub fn new(stage: &Stage) -> Self {
        Self { api: stage.namespace.api(), colony: stage.colony.name.clone(), asked: Mutex::default() }
    }

    /// Everything that was asked for.
    pub fn asked(&self) -> BTreeMap<String, Asked> {
        self.lock().clone()
    }

    /// Creates an object; its name.
    pub async fn create(&self, manner: Manner) -> String {
        let number = self.lock().len();
        let (word, spec) = match manner {
            Manner::Steady => ("steady", json!({"replicas": 1})),
            Manner::Stuck => ("stuck", json!({"nodeSelector": {"colonies.io/node": "nowhere"}})),
        };
        // Its executor type is the name and a word: types that differ by digits at their end miss wake-ups.
        let name = format!("{word}-{number:03}");
        let object = executor_deployment(&name, &self.colony, &spec);
        let made = self.api.create(&PostParams::default(), &object).await.unwrap();
        let asked = Asked { manner, uid: made.uid().unwrap(), generations: 1, deleted: false };
        self.lock().insert(name.clone(), asked);
        name
    }

    /// Creates so many of each manner.
    pub async fn create_batch(&self, steady: usize, stuck: usize) -> Vec<String> {
        let manners =
            std::iter::repeat_n(Manner::Steady, steady).chain(std::iter::repeat_n(Manner::Stuck, stuck));
        let mut names = Vec::new();
        for manner in manners {
            names.push(self.create(manner).await);
        }
        names
    }

    /// Asks for another generation.
    pub async fn scale(&self, name: &str) {
        let generation = {
            let mut asked = self.lock();
            let asked = asked.get_mut(name).unwrap();
            asked.generations += 1;
            asked.generations
        };
        let patch = Patch::Merge(json!({"spec": {"replicas": 2 - generation % 2}}));
        // Generation 1 has one replica, 2 has two, 3 has one.
        let scaled = self.api.patch(name, &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(scaled.metadata.generation, Some(generation), "{name} has a new generation");
    }

    /// Asks for another generation of each.
    pub async fn scale_all(&self, names: &[String]) {
        for name in names {
            self.scale(name).await;
        }
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) {
        self.lock().get_mut(name).unwrap().deleted = true;
        self.api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Deletes them all.
    pub async fn delete_all(&self, names: &[String]) {
        for name in names {
            self.delete(name).await;
        }
    }

    /// Writes something without effect, so that the operator looks at the object.
    pub async fn touch(&self, name: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"tests/touched": "true"}}}));
        self.api.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Takes all of an object's status away.
    pub async fn lose_status(&self, name: &str) {
        let patch = Patch::Merge(json!({"status": null}));
        self.api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until all objects are as they were asked for and those that were deleted are gone, but for `waived`.
    pub async fn settle(&self, what: &str, limit: Duration, waived: &BTreeSet<String>) {
        eventually(what, limit, async || {
            let unsettled: Vec<String> = self
                .unsettled()
                .await?
                .into_iter()
                .filter(|(name, _)| !waived.contains(name))
                .map(|(_, why)| why)
                .collect();
            if unsettled.is_empty() {
                return Ok(());
            }
            let shown: Vec<&String> = unsettled.iter().take(5).collect();
            Err(format!("{} are not, such as {shown:#?}", unsettled.len()))
        })
        .await;
    }

    /// Objects that are gone although no test deleted them.
    pub async fn deleted_by_mistake(&self) -> Vec<String> {
        let list = self.api.list(&ListParams::default()).await.unwrap();
        let there: BTreeSet<String> = list
            .iter()
            .filter(|object| object.metadata.deletion_timestamp.is_none())
            .map(kube::ResourceExt::name_any)
            .collect();
        let asked = self.asked();
        asked
            .into_iter()
            .filter(|(name, asked)| !asked.deleted && !there.contains(name))
            .map(|(name, _)| name)
            .collect()
    }

    /// Waits until one object is as it was asked for.
    pub async fn until_settled(&self, name: &str, limit: Duration) {
        eventually(&format!("{name} is settled"), limit, async || {
            self.unsettled().await?.remove(name).map_or(Ok(()), Err)
        })
        .await;
    }

    /// Objects that are settled and still there, by name.
    pub async fn settled(&self) -> Result<Vec<(String, Manner)>, String> {
        let unsettled = self.unsettled().await?;
        let asked = self.asked();
        let here = asked.into_iter().filter(|(name, asked)| !asked.deleted && !unsettled.contains_key(name));
        Ok(here.map(|(name, asked)| (name, asked.manner)).collect())
    }

    /// Objects that are not as they were asked for, and how they are.
    async fn unsettled(&self) -> Result<BTreeMap<String, String>, String> {
        let list = self.api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let found: BTreeMap<String, ExecutorDeployment> =
            list.into_iter().map(|object| (object.name_any(), object)).collect();
        let mut unsettled = BTreeMap::new();
        for (name, asked) in self.lock().iter() {
            let why = match (found.get(name), asked.deleted) {
                (None, true) => None,
                (None, false) => Some("is gone".to_owned()),
                (Some(object), true) => Some(format!("is still there, with {:?}", object.status)),
                (Some(object), false) => (!is_settled(object, asked)).then(|| format!("{:?}", object.status)),
            };
            unsettled.extend(why.map(|why| (name.clone(), format!("{name} {why}"))));
        }
        Ok(unsettled)
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, BTreeMap<String, Asked>> {
        self.asked.lock()
    }
}

fn is_settled(object: &ExecutorDeployment, asked: &Asked) -> bool {
    let is = |status: &ExecutorDeploymentStatus| {
        status.observed_generation == Some(asked.generations)
            && match asked.manner {
                Manner::Steady => status.is_true("Ready") && is_closed(status),
                // A Deployment that makes no progress has failed after ten minutes, which the whole may take.
                Manner::Stuck => status.mirror.as_ref().is_some_and(|mirror| {
                    matches!(mirror.state, MirrorState::Running | MirrorState::Failed)
                        && mirror.generation == asked.generations
                }),
            }
    };
    object.status.as_ref().is_some_and(is)
}
