//! What `explain`, `get` and `doctor` say of objects in many states. Each folder below `cases/explain` holds `given.yaml`, the object
//! and what it depends on, and a text for each command.

use std::{fs, path::Path};

use colonyos_operator::cli::{explain::render, texts::of_object};

use super::NOW;

fn check(case: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/explain").join(case);
    let given = fs::read_to_string(folder.join("given.yaml")).unwrap();
    let says = render(&given, NOW.parse().unwrap()).unwrap();
    expect_test::expect_file![folder.join("explain.txt")].assert_eq(&says);
    let texts = of_object(&given, NOW.parse().unwrap()).unwrap();
    expect_test::expect_file![folder.join("get.txt")].assert_eq(&texts.get);
    expect_test::expect_file![folder.join("doctor.txt")].assert_eq(&texts.doctor);
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        /// A folder that no test names would be green for ever.
        #[test]
        fn every_folder_is_a_case() {
            super::every_folder_is_named("explain", vec![$(stringify!($name)),*]);
        }
    };
}

cases! {
    colony_away
    colony_refuses_keys
    cron
    definition_without_rights
    deletion_waits
    executors_busy
    failed
    fleet_crashes
    fleet_out_of_memory
    fleet_paused
    fleet_refused
    instance_waits
    no_executor
    not_looked_at
    request_without_flow
    rerun
    succeeded
    suspended
    workflow_waits
}
