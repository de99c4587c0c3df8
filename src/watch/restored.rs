//! What was submitted for an object before it was restored from a backup, which gave it another UID and no status. The annotation
//! that says so comes with the backup.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;

use super::{
    executor_deployment::Reader,
    look_up::{ReadError, submitted_by_operator},
    mirror::member,
    work::{ReadWork, WorkReader},
};
use crate::{
    api::{
        executor_deployment::{ExecutorDeployment, Runtime, Workload},
        kind::HasKind,
        names::{GATE_NODE, SUBMITTED_AS_ANNOTATION, cleanup_generation, parse_submitted_as, process_label},
        policy::RestorePolicy,
        work::WorkObject as _,
    },
    colony::Process,
    memory::connections::Connection,
    snapshot::{Observed, Restored},
};

/// The most attempts, or generations, that are looked for of an object that was restored.
const MOST_ATTEMPTS: i64 = 100;
/// How many generations in a row may never have been submitted: a spec that was invalid, or was replaced at once.
const MOST_SKIPPED: i64 = 4;
/// Longer than any colony keeps processes, in seconds.
const LONG_AGO: u32 = 10 * 366 * 24 * 3600;

impl WorkReader {
    /// As what an object was submitted before it was restored, if it was: cluster and UID.
    fn submitted_before<'a>(&self, metadata: &'a ObjectMeta) -> Option<(&'a str, &'a str)> {
        let (cluster, uid) = noted(metadata)?;
        // A copy of an object that is still there was not restored: what it had is that one's.
        let is_copy =
            cluster == self.cluster && self.holder_lookup.with_uid(uid).known().is_some_and(Option::is_some);
        (!is_copy).then_some((cluster, uid))
    }

    /// What was submitted for an object before it was restored, if it was and that counts. The colony can have forgotten it.
    pub(super) async fn restored<W: ReadWork<Object: HasKind>>(
        &self,
        object: &W::Object,
        connection: Option<&Connection>,
    ) -> Observed<Option<Restored>> {
        let is_kept = object.policies().restore_policy == RestorePolicy::Keep;
        let before = self.submitted_before(object.meta()).filter(|_| is_kept);
        let Some((cluster, uid)) = before else { return Observed::Known(None) };
        let member = match member(connection) {
            Ok(member) => member,
            Err(why) => return Observed::Unknown(why),
        };
        let mut last = None;
        for attempt in 1..=MOST_ATTEMPTS {
            let label = process_label(cluster, uid, attempt);
            let found = member.nodes_labelled(&label, LONG_AGO).await.map_err(ReadError::from);
            let found = found.and_then(|found| submitted_by_operator(member, &label, found, false));
            match found.map(|found| W::id_of(&found)) {
                Err(error) => return Observed::Unknown(error.to_string()),
                Ok(None) => break,
                Ok(Some(id)) => last = Some(Restored { label, attempt, id }),
            }
        }
        Observed::Known(last)
    }

    /// The processes of the generations of an object before it was restored, the last one last, and after it that of a clean-up.
    /// None unless `policy` has them count.
    pub(super) async fn earlier(
        &self,
        metadata: &ObjectMeta,
        policy: RestorePolicy,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        let before = self.submitted_before(metadata).filter(|_| policy == RestorePolicy::Keep);
        earlier(before, connection).await
    }
}

/// As what an object was submitted before it was restored, as its annotation says: cluster and UID.
fn noted(metadata: &ObjectMeta) -> Option<(&str, &str)> {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let said = metadata.annotations.as_ref()?.get(SUBMITTED_AS_ANNOTATION)?;
    let before = parse_submitted_as(said, namespace, metadata.name.as_deref().unwrap_or_default())?;
    Some(before).filter(|before| Some(before.1) != metadata.uid.as_deref())
}

impl Reader {
    /// The processes of the generations of a fleet before it was restored, if it runs to an end and nothing of it is on record.
    pub(super) async fn earlier(
        &self,
        object: &ExecutorDeployment,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        let (spec, status) = (&object.spec, object.status.as_ref());
        let is_new = status.is_none_or(|status| status.mirror.is_none() && status.finished_job.is_none());
        let is_kept = spec.restore_policy == RestorePolicy::Keep
            && spec.workload == Workload::Job
            && spec.runtime == Runtime::Kubernetes;
        let is_asked = is_new && is_kept && object.metadata.deletion_timestamp.is_none();
        earlier(noted(&object.metadata).filter(|_| is_asked), connection).await
    }
}

async fn earlier(before: Option<(&str, &str)>, connection: Option<&Connection>) -> Observed<Vec<Process>> {
    let Some((cluster, uid)) = before else { return Observed::Known(Vec::new()) };
    let member = match member(connection) {
        Ok(member) => member,
        Err(why) => return Observed::Unknown(why),
    };
    let (mut earlier, mut skipped) = (Vec::new(), 0);
    for generation in (1..=MOST_ATTEMPTS).chain([cleanup_generation(0)]) {
        if skipped > MOST_SKIPPED && generation > 0 {
            continue;
        }
        let label = process_label(cluster, uid, generation);
        let labelled = member.nodes_labelled(&label, LONG_AGO).await.map_err(ReadError::from);
        let found = match labelled.and_then(|found| submitted_by_operator(member, &label, found, false)) {
            Err(error) => return Observed::Unknown(error.to_string()),
            Ok(found) => found.into_iter().find(|process| process.spec.node_name != GATE_NODE),
        };
        skipped = if found.is_some() { 0 } else { skipped + 1 };
        earlier.extend(found);
    }
    Observed::Known(earlier)
}
