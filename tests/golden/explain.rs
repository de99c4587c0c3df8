//! What `explain` says of objects in many states. Each folder below `cases/explain` holds `given.yaml`, the object and what it depends
//! on, and `explain.txt`.

use std::{fs, path::Path};

use colonyos_operator::cli::explain::render;

use super::NOW;

fn check(case: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/explain").join(case);
    let given = fs::read_to_string(folder.join("given.yaml")).unwrap();
    let says = render(&given, NOW.parse().unwrap()).unwrap();
    expect_test::expect_file![folder.join("explain.txt")].assert_eq(&says);
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        /// A folder that no test names would be green for ever.
        #[test]
        fn every_folder_is_a_case() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cases/explain");
            let mut found: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            let mut named = vec![$(stringify!($name).to_owned()),*];
            found.sort();
            named.sort();
            assert_eq!(found, named);
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
    fleet_paused
    instance_waits
    no_executor
    not_looked_at
    request_without_flow
    succeeded
    suspended
    workflow_waits
}
