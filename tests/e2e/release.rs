//! What the chart brings for those who have installed it.

use std::time::Duration;

use crate::{
    commands::output,
    installation::{NAMESPACE, RELEASE},
    stage::Stage,
    support::wait::eventually,
};

/// The test fails where a Colony is not ready, as those of earlier tests are not whose servers are gone: what counts here is that its
/// pod runs with the rights and under the standard that the chart gives it, and what it says of the operator.
pub async fn helm_tests_the_release(_: Stage) {
    let test = ["test", RELEASE, "--namespace", NAMESPACE, "--timeout", "1m", "--logs"];
    eventually("helm test tells of the operator", Duration::from_mins(2), async || {
        let said = output("helm", &test).await.unwrap_or_else(|said| said);
        let is_told = said.contains("that the operator needs are granted");
        is_told.then_some(()).ok_or(said)
    })
    .await;
}
