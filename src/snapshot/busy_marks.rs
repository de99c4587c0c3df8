//! How a pod says that its executor runs something. Pure.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::api::names::{BUSY_LABEL, BUSY_WITH_ANNOTATION, DELETION_COST, DO_NOT_DISRUPT, SAFE_TO_EVICT};

/// What the others say of a busy pod: it costs more to delete than an idle one, and autoscalers leave its node.
pub const PROTECTION: [(&str, &str); 3] =
    [(DELETION_COST, "1000"), (SAFE_TO_EVICT, "false"), (DO_NOT_DISRUPT, "true")];

/// What a pod says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BusyMarks<'a> {
    /// The label that the budget of the busy pods selects by.
    pub label: Option<&'a str>,
    /// The process.
    pub busy_with: Option<&'a str>,
    /// The values of [`PROTECTION`].
    pub protection: [Option<&'a str>; 3],
}

impl<'a> BusyMarks<'a> {
    /// Those of a pod.
    #[must_use]
    pub fn of(pod: &'a Pod) -> Self {
        let annotation = |name: &str| pod.annotations().get(name).map(String::as_str);
        Self {
            label: pod.labels().get(BUSY_LABEL).map(String::as_str),
            busy_with: annotation(BUSY_WITH_ANNOTATION),
            protection: PROTECTION.map(|(name, _)| annotation(name)),
        }
    }
}
