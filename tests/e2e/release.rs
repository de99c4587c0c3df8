//! What the chart brings for those who have installed it.

use std::time::Duration;

use crate::{
    commands::output,
    installation::{NAMESPACE, RELEASE},
    stage::Stage,
    support::wait::eventually,
};

/// Colonies of earlier tests, which are still going, are not ready.
pub async fn helm_tests_the_release(_: Stage) {
    let test = ["test", RELEASE, "--namespace", NAMESPACE, "--timeout", "1m", "--logs"];
    eventually("helm test passes", Duration::from_mins(2), async || {
        let said = output("helm", &test).await?;
        let is_told = said.contains("that the operator needs are granted");
        is_told.then_some(()).ok_or(said)
    })
    .await;
}
