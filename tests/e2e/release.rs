//! What the chart brings for those who have installed it.

use std::time::Duration;

use crate::{
    commands::output,
    installation::{NAMESPACE, RELEASE},
    stage::Stage,
    support::wait::eventually,
};

/// Its pod runs with the rights and under the standard that the chart gives it. Other tests make Colonies and definitions that are
/// not looked at yet: what counts here is what it says of the operator.
pub async fn helm_tests_the_release(_: Stage) {
    let test = ["test", RELEASE, "--namespace", NAMESPACE, "--timeout", "1m", "--logs"];
    eventually("helm test tells of the operator", Duration::from_mins(2), async || {
        let said = output("helm", &test).await.unwrap_or_else(|said| said);
        let is_told = said.contains("that the operator needs are granted");
        is_told.then_some(()).ok_or(said)
    })
    .await;
}
