//! Runs the tests: side by side in threads of their own, but for those that stop the operator,
//! which all tests share, or disturb others by the server that they share.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use futures::FutureExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::RwLock;

use crate::{
    installation,
    stage::Stage,
    support::{cluster::connect, namespace::describe},
};

/// Tests mostly wait for the cluster: more of them than processors can run at the same time.
const THREADS: usize = 16;

/// Shared by tests that run side by side, held by one that runs alone.
static OPERATOR: RwLock<()> = RwLock::new(());

thread_local! {
    /// Where this thread last panicked, and why.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs the operator, runs the tests and takes the operator away.
pub fn main(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let is_any_to_run = trials.iter().any(|trial| !arguments.is_filtered_out(trial));
    if arguments.list || !is_any_to_run {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    panic::set_hook(Box::new(|panic| {
        LAST_PANIC.with_borrow_mut(|last| *last = panic.to_string());
        eprintln!("{panic}");
    }));
    block_on(installation::install());
    let conclusion = libtest_mimic::run(&arguments, trials);
    block_on(installation::uninstall());
    conclusion.exit_code()
}

/// A test that leaves the operator alone.
pub fn together<F>(name: &'static str, test: fn(Stage) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        let _others_may_run = OPERATOR.read();
        block_on(on_a_stage(name, test))
    })
}

/// A test that stops the operator, or does to the colonies' server what other tests would notice.
pub fn alone<F>(name: &'static str, test: fn(Stage) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        let _no_other = OPERATOR.write();
        let result = block_on(on_a_stage(name, test));
        if result.is_err() {
            // It may have stopped half-way, and the tests that follow need the operator.
            block_on(installation::scale(installation::REPLICAS));
        }
        result
    })
}

async fn on_a_stage<F>(name: &str, test: fn(Stage) -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    let kubernetes = connect().await;
    let stage = Stage::new(&kubernetes, name.split("::").next().unwrap_or(name)).await;
    let result = AssertUnwindSafe(test(stage.clone())).catch_unwind().await;
    let told = if result.is_ok() {
        Ok(())
    } else {
        let seen = [
            LAST_PANIC.take(),
            describe(&stage.namespace).await,
            installation::log_about(&stage.namespace.name).await,
        ];
        Err(Failed::from(seen.join("\n")))
    };
    stage.leave().await;
    told
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}
